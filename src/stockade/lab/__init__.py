"""The lab: runs workloads under every strategy, with or without faults, and judges each. Only `cli` imports it.

Its folders, each of which imports only those below it: `runs/` executes a plan; `aimed_faults/` has one script for each
of its faults; `execution/` executes the orders of one repeat; `checks/` and `reporting/` judge and show; `presets/` has
one workload each, `targets/` the servers; `model/` has the values that all of them use; `schemes/` has the ways to pay
that are compared with the shop's.
"""

from stockade.lab.model.burst import Burst, RepeatNames
from stockade.lab.model.preset import Preset, Variant
from stockade.lab.workloads.workload import Load, Request

__all__ = ["Burst", "Load", "Preset", "RepeatNames", "Request", "Variant"]
