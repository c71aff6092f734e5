"""One raw sample: what one strategy did with one burst. Neighbours: `playing/turn.py` takes it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from stockade.core import JsonValue
from stockade.lab.sweeps.analysis.statistics import rounded


@dataclass(frozen=True, slots=True)
class Resources:
    """What a burst used, all its orders together; None: it could not be measured.

    Attributes:
        transactions: begun, by the processes that took orders and by log workers.
        deadlocks: of them, ended by the database as deadlock victims.
        connection_ms: connections x time that they were held.
        pool_wait_ms: time that callers waited for a connection.
        blocked_ms: time that orders took longer than one that has everything for itself; None: without `alone_ms`.
        redis_commands: that clients sent to Redis.
        service_cpu_ms: processor time of the processes that took orders, and of log workers.
        database_cpu_ms: of the database server.
        redis_cpu_ms: of the Redis servers.
        kafka_cpu_ms: of the broker.
    """

    transactions: int
    deadlocks: int
    connection_ms: float | None
    pool_wait_ms: float | None
    blocked_ms: float | None
    redis_commands: int | None
    service_cpu_ms: float | None
    database_cpu_ms: float | None
    redis_cpu_ms: float | None
    kafka_cpu_ms: float | None


@dataclass(frozen=True, slots=True)
class Sample:
    """One burst.

    Attributes:
        round: of the sweep, from 0.
        burst: of the round, from 0.
        wall_ms: from the first order to the last answer, in milliseconds.
        alone_ms: how long one order took before that had everything for itself; None: not all of them were accepted.
        accepted: orders.
        rejected: by the rules.
        failed: without a decision.
        latencies_ms: of all buyers, ascending.
        inversions: how unfair the waiting was, see `statistics.inversions`.
        violations: names of rules that were broken, each once.
        resources: what it used.
        expected: how many orders can be accepted; None: an older file, which does not say so.
        untimed_violations: rules that the warm-up and the lone orders broke, in the first sample of a turn.
    """

    round: int
    burst: int
    wall_ms: float
    alone_ms: float | None
    accepted: int
    rejected: int
    failed: int
    latencies_ms: tuple[float, ...]
    inversions: float
    violations: tuple[str, ...]
    resources: Resources
    expected: int | None = None
    untimed_violations: tuple[str, ...] = ()

    @property
    def short(self) -> bool:
        """Whether an order was given up that could have succeeded; where that is not known, whether any was."""
        return self.failed > 0 if self.expected is None else self.accepted < self.expected

    @property
    def decided(self) -> int:
        """Orders with a decision."""
        return self.accepted + self.rejected

    @property
    def decided_s(self) -> float:
        """Decisions in a second."""
        return self.decided / self.wall_ms * 1e3

    @property
    def accepted_s(self) -> float:
        """Accepted orders in a second."""
        return self.accepted / self.wall_ms * 1e3

    def as_json(self) -> dict[str, JsonValue]:
        """One of the samples of a point in the document; the rates are for readers, `from_json` leaves them out."""
        resources: dict[str, JsonValue] = {
            name: rounded(value) if isinstance(value, float) else value
            for name, value in asdict(self.resources).items()
        }
        return {
            "round": self.round,
            "burst": self.burst,
            "wall_ms": round(self.wall_ms, 6),  # a burst takes 2 ms: with fewer digits a reader gets other rates
            "alone_ms": None if self.alone_ms is None else round(self.alone_ms, 3),
            "accepted": self.accepted,
            "rejected": self.rejected,
            "failed": self.failed,
            "expected": self.expected,
            "decided_s": rounded(self.decided_s),
            "accepted_s": rounded(self.accepted_s),
            "latencies_ms": [round(each, 2) for each in self.latencies_ms],
            "inversions": round(self.inversions, 4),
            "violations": list(self.violations),
            "untimed_violations": list(self.untimed_violations),
            "resources": resources,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, JsonValue]) -> "Sample":
        """Read what `as_json` wrote.

        Raises:
            TypeError, KeyError: it is no sample.
        """
        kept = {name: value for name, value in values.items() if name not in ("decided_s", "accepted_s")}
        if "repeat" in kept:  # an older file
            kept["round"] = kept.pop("repeat")
        return cls(
            **{
                **kept,
                "latencies_ms": tuple(kept["latencies_ms"]),  # type: ignore[arg-type]
                "violations": tuple(kept["violations"]),  # type: ignore[arg-type]
                "untimed_violations": tuple(kept.get("untimed_violations", ())),  # type: ignore[arg-type]
                "resources": Resources(**kept["resources"]),  # type: ignore[arg-type]
            }
        )
