"""Checkers of the rows: versions, balances, and the order of those who wrote and saw them."""
