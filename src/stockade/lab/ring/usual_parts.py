"""The parts of a ring on this machine: every fault, workload and contender that its servers and tools allow.

Neighbours: `design.py` makes cells of them; `faults/` and `workloads/` have the registries.
"""

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from stockade.devservers import available
from stockade.lab.errors import LabError
from stockade.lab.faults import FAULTS
from stockade.lab.ring.design import Parts, usual_contenders
from stockade.lab.site.needs import missing_tools
from stockade.lab.workloads.registry import WORKLOADS
from stockade.strategies import registry

DATABASES: Final = ("postgres", "mariadb", "sqlite")
RING_FAULTS: Final = (  # of each family what differs; the soak draws from all of them
    "process-kill-at-point",
    "process-pause-at-point",
    "database-kill",
    "disk-full",
    "disk-failing",
    "jitter",
    "blackhole",
    "reset",
    "clock-ahead",
    "small-pool",
    "duplicates-restart",
    "cancellation",
    "redis-kill-always",
    "redis-expire-all",
    "redis-failover",
    "broker-kill",
    "worker-kill",
    "replay",
)

CONTROL_WORKLOAD: Final = "charges-and-spends"  # five rows in all: whoever is stopped at one stands in somebody's way
RING_WORKLOADS: Final = ("hot-and-zipf", "baskets", "charges-and-spends", "cancels")


def usual_parts(databases: Sequence[str] = ()) -> Parts:
    """Everything that can run here.

    Args:
        databases: names; none: all that this machine can start.

    Raises:
        LabError: a database that is named cannot be started.
    """
    for name in databases:
        if why := missing_servers([name]):
            raise LabError(f"--databases {name}: {why}")
    there = databases or [name for name in DATABASES if not missing_servers([name])]
    contenders = [each for each in usual_contenders() if not missing_servers(each.guarantees.needs)]
    return Parts(
        databases=tuple(there),
        contenders=tuple(contenders),
        faults=tuple(fault for fault in FAULTS.values() if not missing_tools(fault.needs)),
        workloads=tuple(WORKLOADS.values()),
        control_workload=CONTROL_WORKLOAD,
    )


def left_out(parts: Parts) -> list[str]:
    """What this machine cannot run, each with the reason, in a line."""
    servers = {name: missing_servers([name]) for name in DATABASES if name not in parts.databases}
    strategies = {name: missing_servers(registry.guarantees(name).needs) for name in registry.names()}
    tools = {fault.name: missing_tools(fault.needs) for fault in FAULTS.values()}
    kinds = (("database", servers), ("strategy", strategies), ("fault", tools))
    return [f"{kind} {name}: {why}" for kind, reasons in kinds for name, why in reasons.items() if why]


def missing_servers(needs: Sequence[str]) -> str:
    """Why these servers cannot be started here; empty: they can. SQLite is none."""
    found = _available()
    return "; ".join(why for name in needs if (why := found.get(name)))


_available = functools.cache(available)


def narrowed(
    parts: Parts, *, contenders: Sequence[str] = (), faults: Sequence[str] = (), workloads: Sequence[str] = ()
) -> Parts:
    """Only what is named; no names mean all."""
    return replace(
        parts,
        contenders=tuple(each for each in parts.contenders if not contenders or each.name in contenders),
        faults=tuple(each for each in parts.faults if not faults or each.name in faults),
        workloads=tuple(each for each in parts.workloads if not workloads or each.name in workloads),
    )
