"""The words that play many recordings, one after the other: `stockade lab ring` and `stockade lab soak`."""
