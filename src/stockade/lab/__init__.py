"""The lab: scenarios, load, faults, checks and reports. Only the command line imports it."""
