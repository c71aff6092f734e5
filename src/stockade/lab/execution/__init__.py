"""Carries a plan out: contenders under load, their faults, and what the database holds afterwards."""
