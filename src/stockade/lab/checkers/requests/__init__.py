"""Checkers of the requests: what the callers were told, and what is recorded of it."""
