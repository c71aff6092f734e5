"""Workloads of recordings: seeded sources of operations, one file each."""
