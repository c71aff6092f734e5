"""Executes a plan: contenders under load, with or without faults, and what the database contains afterwards."""
