"""Linearizability by search, for histories without versions, and the calls that it and porcupine work on."""
