"""What a fault of a recording is, what it may touch, and what a contender claims under it.

A fault is one file in `faults/`, and one line in its registry. It is injected and healed by the schedule of the
recording; in between, the load goes on. Neighbours: `engine.py` makes the `Disturbed`, `service_processes.py` and
`load_control.py` are what faults touch of the load's side, `site/` of the servers' side.
"""

import asyncio
import dataclasses
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final, NamedTuple, Protocol

from stockade.devservers.workdir import OwnedFolder
from stockade.lab.model.contender import Contender
from stockade.lab.site.site import Site

# What faults touch, see `Fault.touches`.
PROCESSES, DATABASE, REDIS, KAFKA, LOAD = "processes", "database", "redis", "kafka", "load"
LINKS = "links"  # see `Fault.exclusive`
SERVERS: Final = frozenset({DATABASE, REDIS})  # a healing starts them, whichever fault has ended them


class Processes(Protocol):
    """The service processes of a recording, or its log workers; numbered from 0.

    Each method that changes a process returns when it has happened. A process that is not there is left alone.
    """

    @property
    def name(self) -> str:
        """Of the kind, e.g. `log worker`; with the number it is the name of a process in the history."""
        ...

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    async def kill(self, number: int) -> None:
        """SIGKILL; its open requests are answered with unknown. It stays away until `replace`."""
        ...

    async def pause(self, number: int) -> None:
        """SIGSTOP."""
        ...

    async def resume(self, number: int) -> None:
        """SIGCONT."""
        ...

    async def replace(self, number: int, environment: Mapping[str, str] | None = None) -> None:
        """Start it anew; one that still runs is killed before.

        Args:
            number: of the process.
            environment: variables beside those of the lab, for this start and the later ones; None: as before.
        """
        ...

    def set_environment(self, number: int, environment: Mapping[str, str]) -> None:
        """Variables beside those of the lab for its later starts; one that runs keeps those that it has."""
        ...

    async def signal_at_point(self, number: int, point: str, signal: int) -> bool:
        """Send the process a signal when its store next reaches a fault point; False if it does not serve.

        Args:
            number: of the process.
            point: `begin`, `loaded`, `saved` or `committed`.
            signal: SIGKILL or SIGSTOP.
        """
        ...

    async def was_signalled(self, number: int, wait_s: float) -> bool:
        """Whether such a signal, and no other end, stops or ends the process within this time, in seconds.

        One that has not come by then does not come later, when its fault may be healed: a process that is too slow to
        take it back is replaced.
        """
        ...

    async def serves(self, number: int, wait_s: float) -> bool:
        """Whether the process runs and answers within this time, in seconds."""
        ...

    def pid(self, number: int) -> int:
        """Process id; 0 while it is away."""
        ...


class LoadControl(Protocol):
    """What faults change of the load. Each value stays until the next call."""

    def set_rate_factor(self, factor: float) -> None:
        """Offer this many times the rate (open loop), or multiply the clients by it."""
        ...

    def set_duplicate_share(self, share: float) -> None:
        """Send this share of the requests a second time: at once, later, or after the recording's restart."""
        ...

    def set_cancel_share(self, share: float) -> None:
        """Give up this share of the requests before their answer; the process cancels them."""
        ...


class ProcessRef(NamedTuple):
    """A process: the group, and its number in it."""

    group: Processes
    number: int

    @property
    def name(self) -> str:
        """As in the history."""
        return f"{self.group.name} {self.number}"

    @property
    def pid(self) -> int:
        """Process id; 0 while it is away."""
        return self.group.pid(self.number)


@dataclass(frozen=True, slots=True)
class Disturbances:
    """What a healing must know of its injection, and one fault of the others.

    Attributes:
        resuming: tasks that resume suspended processes.
        chosen: processes that faults have hit, so that the next fault hits another one.
        held_away: by fault, the processes that it has killed and not healed.
        throttled: by fault, the process that it stops again and again, and the task that does so.
        clocks: by fault, the process whose wall clock it has moved, and the folder of the file with the distance.
        load: by what is done to the load, the names of the faults that do it.
    """

    resuming: list["asyncio.Task[None]"] = field(default_factory=list)
    chosen: set[tuple[str, int]] = field(default_factory=set)
    held_away: dict[str, list[ProcessRef]] = field(default_factory=dict)
    throttled: dict[str, tuple[ProcessRef, "asyncio.Task[None]"]] = field(default_factory=dict)
    clocks: dict[str, tuple[ProcessRef, OwnedFolder]] = field(default_factory=dict)
    load: dict[str, set[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Disturbed:
    """What a fault may touch, and what it says while it is injected or healed.

    Attributes:
        site: the servers and the links to them.
        processes: that run the service.
        workers: that decide the command log; none without one.
        load: what is sent.
        rng: every choice of the fault, so that the seed decides it.
        database: name of the dialect.
        strategy: name of the contender, e.g. `redis-pubsub:bare`.
        lease_s: lease of its locks, in seconds.
        disturbances: of all faults of the recording.
        notes: what this injection or healing has said.
        expected: the processes that must serve again before it has ended.
    """

    site: Site
    processes: Processes
    workers: Processes
    load: LoadControl
    rng: random.Random
    database: str
    strategy: str
    lease_s: float
    disturbances: Disturbances = field(default_factory=Disturbances)
    notes: list[str] = field(default_factory=list)
    expected: list[ProcessRef] = field(default_factory=list)

    def for_action(self) -> "Disturbed":
        """The same for one injection or healing, which has said nothing yet."""
        return dataclasses.replace(self, notes=[], expected=[])

    def note(self, detail: str) -> None:
        """Say in the fault log how this injection or healing went, e.g. why nothing was hit."""
        self.notes.append(detail)

    def expect(self, processes: Processes, number: int) -> None:
        """This injection or healing has ended when this process serves again; bounded, and the fault log says so."""
        self.expected.append(ProcessRef(processes, number))


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of failure.

    Attributes:
        name: in options and reports.
        summary: what happens, in one line.
        inject: begins it; returns when it has begun, with the names of what it hit. None: it did not act, or only its
            healing can tell.
        heal: ends what this injection began, and leaves what other faults have begun; returns when that has ended, with
            the names of what was hit since the injection, if that has not said it. Of processes it says which must
            serve again (`Disturbed.expect`). A server serves again, whatever has ended it: see `exclusive`.
        covered_by: names in `Guarantees.faults`; a strategy is held to it if it promises one of them. Empty: every
            strategy that protects a row is.
        needs: of the site, e.g. `database-server`, `redis`, `kafka`, `link-database`, `link-redis`, `libfaketime`.
        recovery_s: time after the healing within which four fifths of the rate without faults must be back.
        fault_points: it needs the fault points of the store, at which no batch is one statement.
        must_fail: forms of negative controls that must be seen to fail under it, of a workload whose clients share
            rows; the others may. `unprotected` is in none: it must fail without any fault.
        least_wait_s: the deadline of a command must be at least so long, in seconds: a holder that is suspended beyond
            its lease must come back before its deadline, or it writes nothing.
        touches: what it acts on, e.g. `processes`, `database`, `link to redis`. Faults that touch different things are
            injected at once, unless one of them needs a service at work or ends something; those that touch the same
            thing one after the other.
        exclusive: where it would undo or hide what another fault does there, and that one its own: `database`, `redis`,
            `kafka`, `links`.
        ends_it: what it touches is gone or silent afterwards, until the healing: it comes last of those that touch it.
        stops_processes: SIGSTOP, to processes of the service or of the command log, which tell nobody anything then.
        needs_service: it waits for a process that works, or starts one. So it comes first, and no other begins
            meanwhile.
        impossible: why it cannot happen with this contender on this database; empty: it can.
    """

    name: str
    summary: str
    inject: Callable[[Disturbed], Awaitable[Sequence[str]]]
    heal: Callable[[Disturbed], Awaitable[Sequence[str] | None]]
    covered_by: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    recovery_s: float = 10.0
    fault_points: bool = False
    must_fail: tuple[str, ...] = ()
    least_wait_s: float = 0.0
    touches: frozenset[str] = frozenset()
    exclusive: frozenset[str] = frozenset()
    ends_it: bool = False
    stops_processes: bool = False
    needs_service: bool = False
    impossible: Callable[[str, str], str] = lambda strategy, database: ""


def fit_together(one: Fault, other: Fault) -> bool:
    """Whether a ring may have two faults at once: neither undoes or hides what the other does."""
    return not one.exclusive & other.exclusive and not (one.fault_points and other.fault_points)


def undo_each_other(faults: Sequence[Fault]) -> list[str]:
    """Which of these cannot be in place together at all, pair by pair: the healing of one heals the server of both."""
    shared = [(one, other, one.exclusive & other.exclusive & SERVERS) for one, other in combinations(faults, 2)]
    return [
        f"{one.name} and {other.name} cannot be combined: healing one heals the {', '.join(sorted(servers))} of both"
        for one, other, servers in shared
        if servers
    ]


def protects_rows(contender: Contender) -> bool:
    """Whether its guard protects the rows whatever happens to its locks, in several processes too."""
    guarantees = contender.guarantees
    return contender.form != "bare" and not guarantees.may_oversell and guarantees.processes == "many"


def claims(contender: Contender, faults: Sequence[Fault], processes: int) -> bool:
    """Whether a contender claims to break no rule.

    Args:
        contender: the strategy and its form.
        faults: all that are injected.
        processes: that run the service.
    """
    guarantees = contender.guarantees
    if guarantees.may_oversell or (processes > 1 and guarantees.processes == "one"):
        return False
    survived = set(guarantees.faults)
    # a bare lock has nothing but its lease
    return all(
        bool(survived & set(fault.covered_by)) if fault.covered_by else contender.form != "bare" for fault in faults
    )
