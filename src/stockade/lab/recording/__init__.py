"""Recordings: a workload under a strategy on a database, with faults, as one history."""
