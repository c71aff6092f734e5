"""Recorded histories: every operation of a recording, the faults that were active, and the final state."""
