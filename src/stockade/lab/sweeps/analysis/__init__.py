"""What samples say: medians with intervals, what counts, where the order flips, and how complex a strategy is."""
