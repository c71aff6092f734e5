"""The lab: runs workloads under every strategy, with or without faults, and judges each. Only `cli` imports it."""
