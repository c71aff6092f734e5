"""A long audit, rule by rule: it shows how far it is, leaves room for others, and ends.

Each rule is a read of its own, so none keeps a snapshot open for longer than itself. Neighbours: the command line and
`benchmarks.audit` run it; `audit` checks everything on one connection.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from stockade.core import Busy
from stockade.shop.audit.finding import Rule, Scope, Violation
from stockade.shop.audit.rules import RULES
from stockade.shop.audit.session import bounded
from stockade.shop.audit.summary import Summary, summary

T = TypeVar("T")
MAX_WAIT_S = 600.0  # of work; pauses come on top


class Read(Protocol):
    """`Database.read`."""

    def __call__(self, body: Callable[[Connection], T], /, *, timeout_s: float) -> Awaitable[T]: ...


Progress = Callable[[str, int, int], None]


def _quiet(rule: str, done: int, of: int) -> None:
    return None


@dataclass(frozen=True, slots=True)
class LongAudit:
    """How to audit a large database.

    Attributes:
        read: runs a query on a connection.
        pace: the share of the time in which it works, above 0 and up to 1. After each rule it rests, so that work and
            rest come to that share; below 1 it also keeps to one core of the server.
        wait_s: the longest all rules together may work, in seconds; the rests are not counted.
        limit: violations that one rule reports at most.
        progress: told the name of the rule that begins, how many are done, and how many there are.
    """

    read: Read
    pace: float = 1.0
    wait_s: float = MAX_WAIT_S
    limit: int = 20
    progress: Progress = _quiet
    seconds: dict[str, float] = field(default_factory=dict)

    async def run(self) -> tuple[Summary, list[Violation]]:
        """Count everything, then check all rules.

        Returns:
            The figures, and what is wrong.

        Raises:
            ValueError: an unusable pace.
            Busy: no answer in time (DEPENDENCY_DOWN), or no database.
        """
        if not 0 < self.pace <= 1:
            raise ValueError(f"pace must be above 0 and at most 1, not {self.pace}")
        of = len(RULES) + 1
        self.progress(summary.__name__, 0, of)
        figures = await self._step(summary.__name__, summary)
        found: list[Violation] = []
        for done, rule in enumerate(RULES, 1):
            await self._rest()
            self.progress(rule.__name__, done, of)
            found += await self._step(rule.__name__, self._checked(rule))
        return figures, found

    def _checked(self, rule: Rule) -> Callable[[Connection], list[Violation]]:
        return lambda conn: list(rule(conn, Scope(self.limit)))

    async def _step(self, name: str, query: Callable[[Connection], T]) -> T:
        left_s = self.wait_s - sum(self.seconds.values())
        if left_s <= 0:
            raise Busy(f"the audit did not end within {self.wait_s:.0f} s of work, before {name}", "DEPENDENCY_DOWN")

        def body(conn: Connection) -> Any:
            with bounded(conn, left_s, alone=self.pace < 1):
                return query(conn)

        began_s = time.monotonic()
        answer: T = await self.read(body, timeout_s=left_s)
        self.seconds[name] = time.monotonic() - began_s
        return answer

    async def _rest(self) -> None:
        last_s = list(self.seconds.values())[-1]
        if self.pace < 1:
            await asyncio.sleep(last_s * (1 / self.pace - 1))
