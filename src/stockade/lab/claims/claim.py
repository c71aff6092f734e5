"""What a claim of the reports is, what its run finds, and what it may use. Neighbour: `runs/` has a file for each."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from stockade.core import JsonValue
from stockade.devservers import Server, ServerFailed, Servers, ServerUnavailable
from stockade.lab.errors import LabError
from stockade.lab.targets.target_database import TargetDatabase

HOLDS, FALSE, HOLDS_ONLY_WHEN, NOT_SHOWN = "holds", "false", "holds only when", "not shown"
JAVA, KOTLIN, BOTH = "the Java project's report", "the Kotlin project's report", "both reports"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run found.

    Attributes:
        lines: what was measured, one sentence each.
        verdict_if_expected: what follows where `as_expected`: `holds`, `false` or `holds only when`.
        why_if_expected: the condition, or the reason; one sentence.
        as_expected: every control failed as it must and every cure held.
        figures: measured; times in milliseconds unless the name says otherwise.
    """

    lines: tuple[str, ...]
    verdict_if_expected: str
    why_if_expected: str
    as_expected: bool
    figures: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """What follows; `not shown` where a control held or a cure did not."""
        return self.verdict_if_expected if self.as_expected else NOT_SHOWN

    @property
    def why(self) -> str:
        """The condition, or the reason."""
        return self.why_if_expected if self.as_expected else "a control did not fail, or a cure did not hold"


class Tools:
    """What the runs use: the database of the run, and Redis servers that are started when they are asked for.

    Args:
        target: the database.
        servers: starts private servers.
        redis: URLs of servers that were named; empty: private ones.
    """

    def __init__(self, target: TargetDatabase, servers: Servers, redis: tuple[str, ...] = ()) -> None:
        self.target = target
        self.servers = servers
        self._named = redis

    @cached_property
    def redis_url(self) -> str:
        """A Redis that nothing is done to but to lock there.

        Raises:
            LabError: none can be started.
        """
        return self._named[0] if self._named else self.private_redis().url

    def private_redis(self) -> Server:
        """A Redis of its own, to be paused and killed.

        Raises:
            LabError: none can be started.
        """
        try:
            return self.servers.redis()
        except (ServerUnavailable, ServerFailed) as error:
            raise LabError(str(error)) from error

    def name(self, what: str) -> str:
        """A name of a lock that no other run uses."""
        return f"lab-{what}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of a report.

    Attributes:
        name: of the claim, for the command line.
        says: what the report says.
        source: which report.
        run: measures it.
        needs: of {"redis"}.
        databases: on which it says something.
    """

    name: str
    says: str
    source: str
    run: Callable[[Tools], Awaitable[Measured]]
    needs: frozenset[str] = frozenset()
    databases: tuple[str, ...] = ("sqlite", "postgres", "mariadb", "mysql")


@dataclass(frozen=True, slots=True)
class Answer:
    """A claim and what was measured; None: it was left out, and why; `failed`: because its run ended with an error."""

    claim: Claim
    database: str
    measured: Measured | None
    left_out: str = ""
    seconds: float = 0.0
    failed: bool = False

    @property
    def kept(self) -> bool | None:
        """Whether its controls failed as they must; None: it was left out, which says nothing."""
        return None if self.measured is None else self.measured.as_expected

    def as_json(self) -> dict[str, JsonValue]:
        """One of the member `claims` of the document."""
        found = self.measured
        return {
            "name": self.claim.name,
            "says": self.claim.says,
            "source": self.claim.source,
            "database": self.database,
            "left_out": self.left_out,
            "measured": list(found.lines) if found else [],
            "verdict": found.verdict if found else "",
            "why": found.why if found else "",
            "as_expected": self.kept,
            "figures": dict(found.figures) if found else {},
            "seconds": round(self.seconds, 3),
        }
