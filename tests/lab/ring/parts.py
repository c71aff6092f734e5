"""Stand-ins for tests of the ring: faults that do nothing, and a player that records nothing."""

from stockade.lab.checkers.violation import Violation
from stockade.lab.history.history import History
from stockade.lab.history.operation import OK, FaultEvent, Operation
from stockade.lab.model.contender import Contender
from stockade.lab.recording.fault import Fault
from stockade.lab.ring.design import Parts, usual_contenders
from stockade.lab.ring.player import Recorded
from stockade.lab.workloads.registry import WORKLOADS


async def _nothing(disturbed):
    """A fault that does nothing."""
    return ()


def _only_redis(strategy, database):
    return "" if strategy.startswith("red") else "takes no lock in Redis"


def _only_servers(strategy, database):
    return "has no server" if database == "sqlite" else ""


_REDIS = frozenset({"redis"})
FAULTS = (
    Fault("crash", "", _nothing, _nothing, covered_by=("crash",)),
    Fault("pause", "", _nothing, _nothing, covered_by=("pause",), fault_points=True, must_fail=("bare",)),
    Fault(
        "failover",
        "",
        _nothing,
        _nothing,
        ("failover",),
        fault_points=True,
        exclusive=_REDIS,
        impossible=_only_redis,
        must_fail=("bare",),
    ),
    Fault("redis-kill", "", _nothing, _nothing, ("restart",), exclusive=_REDIS, impossible=_only_redis),
    Fault("database-kill", "", _nothing, _nothing, (), frozenset({"database-server"}), impossible=_only_servers),
    Fault("latency", "", _nothing, _nothing, (), frozenset({"link-database"}), impossible=_only_servers),
)


def parts(databases=("postgres", "mariadb", "sqlite"), contenders=None):
    """Parts of a ring over these stand-ins."""
    names = contenders and [Contender.parse(name) for name in contenders]
    return Parts(databases, names or usual_contenders(), FAULTS, tuple(WORKLOADS.values()))


class StandIn:
    """A player that finds a violation where `broken` says so, and raises where `raises` says so; faults hit `hit`."""

    def __init__(
        self,
        broken=lambda cell: False,
        raises=lambda cell: None,
        *,
        inject=True,
        hit=lambda cell: ("service 0",),
        rule="no-oversell",
        about_time=False,
    ):
        self.broken, self.raises, self.inject, self.rule = broken, raises, inject, rule
        self.about_time, self.hit = about_time, hit
        self.played = []

    async def __call__(self, cell, seed):
        """See `Player`."""
        self.played.append(cell.id)
        if error := self.raises(cell):
            raise error
        injected = [FaultEvent(1, name, "inject", hit=self.hit(cell)) for name in cell.faults if self.inject]
        log = [*injected, *(each._replace(action="heal", at_ns=3, hit=()) for each in injected)]
        operation = Operation(0, 0, "service 0", "place_order", (), "0" * 32, "f", 1, 2, OK)
        history = History(
            cell.workload,
            cell.contender,
            cell.database,
            cell.faults,
            seed,
            fault_log=tuple(log),
            operations=(operation,),
        )
        found = [Violation(self.rule, "21 of 20", about_time=self.about_time)]
        return Recorded(history, found if self.broken(cell) else [])
