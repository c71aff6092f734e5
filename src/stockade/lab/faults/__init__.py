"""The faults of recordings by name. A new one is one file here that defines `FAULTS`, and one line below.

A file holds the few variants of one family. Neighbours: `possible.py` says why a fault cannot happen, `pieces.py` has
what several files need; `recording/fault.py` says what a fault is.
"""

from collections.abc import Mapping
from types import MappingProxyType

from stockade.lab.faults import (
    clock,
    database_server,
    disk,
    kafka,
    load,
    network,
    processes,
    redis_data,
    redis_failover,
    redis_server,
)
from stockade.lab.recording.fault import Fault

FAMILIES = (
    processes,
    database_server,
    disk,
    network,
    redis_server,
    redis_data,
    redis_failover,
    kafka,
    clock,
    load,
)
FAULTS: Mapping[str, Fault] = MappingProxyType({each.name: each for family in FAMILIES for each in family.FAULTS})
TOGETHER = "+"


def find_faults(text: str) -> tuple[Fault, ...]:
    """The faults that a name, or several with a plus between them, means: `database-kill+latency`.

    Args:
        text: empty: no fault.

    Raises:
        ValueError: a name that does not exist (the message lists those that do), or one that is there twice.
    """
    names = [name.strip() for name in text.split(TOGETHER)] if text.strip() else []
    for name in names:
        if name not in FAULTS:
            raise ValueError(f"unknown fault {name!r}; there are: {', '.join(FAULTS)}")
    if len(set(names)) < len(names):
        raise ValueError(f"{text}: a fault is named twice")
    return tuple(FAULTS[name] for name in names)


def needs_of(faults: tuple[Fault, ...]) -> frozenset[str]:
    """What all of them need of a site together."""
    return frozenset().union(*(each.needs for each in faults))
