"""Checkers of what is around the rows: locks, logs, events, what is left behind, and whether the system goes on."""
