"""Runs a plan: for each contender the repeats, their checks, and one row of the report."""
