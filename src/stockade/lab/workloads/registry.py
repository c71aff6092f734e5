"""Every workload by name. A new one is one file here that defines `WORKLOAD`, and one line in this list."""

from typing import Final

from stockade.lab.errors import LabError
from stockade.lab.workloads import order_stream
from stockade.lab.workloads.workload import Workload

WORKLOADS: Final[dict[str, Workload]] = {each.name: each for each in (order_stream.WORKLOAD,)}


def find_workload(text: str) -> Workload:
    """A workload by its name.

    Raises:
        LabError: there is none; the message lists those that exist.
    """
    if text in WORKLOADS:
        return WORKLOADS[text]
    raise LabError(f"unknown workload {text!r}; there are: {', '.join(WORKLOADS)}")
