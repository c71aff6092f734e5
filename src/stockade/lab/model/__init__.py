"""The values of the lab: presets and their workloads, contenders, and the result of one repeat."""
