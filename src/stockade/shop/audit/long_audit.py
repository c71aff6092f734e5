"""The audit of a large database in steps, with progress, pauses and a time limit.

A step is the summary, one screen or one rule. Each is a read of its own, so no snapshot stays open for longer.
Neighbours: the command line and `benchmarks.audit` run it; `audit` checks everything on one connection.
"""

import time
from asyncio import Semaphore, create_task, gather, sleep
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from stockade.core import Busy
from stockade.service.audit.rule_types import Rule, Scope, Violation
from stockade.shop.audit.rules import RULES, SCREENS, rules_to_run
from stockade.shop.audit.screen import Screen
from stockade.shop.audit.session import bounded
from stockade.shop.audit.summary import Summary, summary

S = TypeVar("S")
T = TypeVar("T")
AT_ONCE = 2  # steps at the same time, without a pace: each uses one core of the server
MAX_WAIT_S = 600.0  # of work, without the pauses
SUMMARY = "summary"  # the name of the first step; the others are those of the screens and the ids of the rules


class Read(Protocol):
    """`Database.read`."""

    def __call__(self, body: Callable[[Connection], T], /, *, timeout_s: float) -> Awaitable[T]: ...


Progress = Callable[[str, int, int], None]


def _quiet(rule: str, done: int, of: int) -> None:
    return None


@dataclass(slots=True)
class LongAudit:
    """How to audit a large database, once.

    Attributes:
        read: runs a query on a connection.
        pace: the share of the time in which the audit works, above 0 and up to 1. It pauses after each step to keep
            that share; below 1 it runs one step at a time.
        wait_s: how long the steps may work, in seconds, without the pauses. Each step may take what the finished steps
            have left, so two steps at the same time may take longer.
        limit: the most violations that one rule reports.
        progress: called with the ids of the current rules, how many rules are done, and how many there are.
        seconds: how long each step took, by its name.
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
        self.progress(SUMMARY, 0, of)
        figures = await self._step(SUMMARY, summary)
        await self._rest()
        decided: set[Rule] = set()

        async def look(screen: Screen) -> set[Rule]:
            self.progress(", ".join(each.id for each in screen.rules), 1 + len(decided), of)
            answer = await self._step(screen.name, screen.look)
            decided.update(screen.rules)
            return answer

        async def check(rule: Rule) -> list[Violation]:
            self.progress(rule.id, of - 1, of)
            return await self._step(rule.id, lambda conn: list(rule(conn, Scope(self.limit))))

        found = await self._each(check, rules_to_run(await self._each(look, SCREENS)))
        return figures, [violation for each in found for violation in each]

    async def _each(self, work: Callable[[S], Awaitable[T]], things: Sequence[S]) -> list[T]:
        """The results for all things: `AT_ONCE` at a time; with a pace, one at a time and a pause after each."""
        slots = Semaphore(AT_ONCE if self.pace == 1 else 1)

        async def one(thing: S) -> T:
            async with slots:
                answer = await work(thing)
                await self._rest()
                return answer

        tasks = [create_task(one(thing)) for thing in things]
        try:
            return await gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _step(self, name: str, query: Callable[[Connection], T]) -> T:
        left_s = self.wait_s - sum(self.seconds.values())
        if left_s <= 0:
            raise Busy(f"the audit did not end within {self.wait_s:.0f} s of work, before {name}", "DEPENDENCY_DOWN")

        def body(conn: Connection) -> tuple[T, float]:
            began_s = time.monotonic()
            with bounded(conn, left_s):
                return query(conn), time.monotonic() - began_s

        answer, self.seconds[name] = await self.read(body, timeout_s=left_s)
        return answer

    async def _rest(self) -> None:
        last_s = list(self.seconds.values())[-1]
        if self.pace < 1:
            await sleep(last_s * (1 / self.pace - 1))
