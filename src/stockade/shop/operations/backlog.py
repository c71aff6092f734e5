"""Keeps the metrics of the backlog: what waits for the sink, in the topic, for the jobs of the shop and for a gateway.

The figures come from the database and the brokers. They are kept for a few seconds and their queries have a time limit,
so that /metrics may be requested as often as anyone likes. Neighbours: `metrics` shows them, `store.outbox` and
`kafka.backlog` count, `http.routing.app_state` refreshes.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial

from sqlalchemy import Connection

from stockade.core import StockadeError
from stockade.kafka.backlog import Backlog
from stockade.shop.config.kafka_brokers import brokers_of
from stockade.shop.config.settings import Settings
from stockade.shop.config.strategy_choice import STRATEGY_GROUPS, chosen_strategy
from stockade.shop.operations.metrics import Metrics
from stockade.shop.queries.due import due
from stockade.shop.queries.popular import sums_behind_s
from stockade.shop.queries.unresolved_payments import count_unresolved
from stockade.shop.sinks import KEEP
from stockade.store import Database
from stockade.store.outbox import Outbox
from stockade.strategies import registry

KEEP_S = 5.0
WAIT_S = 2.0
UNKNOWN = float("nan")
JOBS = ("sales", "sweep")
OPEN_PAYMENTS = ("payments", "refunds")
UNRESOLVED = (*OPEN_PAYMENTS, "other_gateway", "person", "refused")


def jobs_behind_s(conn: Connection, now_ms: int) -> dict[str, float]:
    """How far each of `JOBS` is behind, in seconds.

    Args:
        conn: to read on.
        now_ms: the present, in milliseconds since 1970.
    """
    overdue = due(conn, now_ms=now_ms, limit=1)
    sweep_s = (now_ms - overdue[0].reserved_until_ms) / 1000 if overdue else 0.0
    return dict(zip(JOBS, (sums_behind_s(conn, now_ms=now_ms), sweep_s), strict=True))


class BacklogMetrics:
    """The metrics of the jobs, and of the outbox and the topic of commands as far as the settings use them.

    Args:
        settings: name the sink, and the topic.
        database: with the outbox and the positions.
        metrics: where the figures go; not a number where they are unknown.
        wall_clock_ms: gives the wall clock, milliseconds since 1970: events carry the time at which they were made.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        metrics: Metrics,
        wall_clock_ms: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._database, self._metrics = settings, database, metrics
        self._wall_clock_ms, self._clock = wall_clock_ms, clock
        self._next_s = clock()
        self._backlog: Backlog | None = None
        self._partitions: set[int] = set()

    async def refresh(self) -> None:
        """Query again if the last figures are older than `KEEP_S`; takes `WAIT_S` at most, and never fails."""
        if self._clock() < self._next_s:
            return
        self._next_s = self._clock() + KEEP_S  # before the queries: a concurrent request gets the last figures
        queries = [self._refresh_jobs(), self._refresh_payments()]
        if self._settings.events != KEEP:
            queries.append(self._refresh_events())
        if self._uses_kafka():
            queries.append(self._refresh_commands())
        await asyncio.gather(*queries)

    async def _refresh_jobs(self) -> None:
        now_ms = self._wall_clock_ms()
        try:
            behind_s = await self._database.read(lambda conn: jobs_behind_s(conn, now_ms), timeout_s=WAIT_S)
        except (StockadeError, TimeoutError):
            behind_s = dict.fromkeys(JOBS, UNKNOWN)
        for job, seconds in behind_s.items():
            self._metrics.job(job, seconds)

    async def _refresh_payments(self) -> None:
        """Without a gateway too: what an earlier one left open is owed all the same."""
        now_ms, count = self._wall_clock_ms(), partial(count_unresolved, gateway=self._settings.gateway)
        try:
            found = await self._database.read(count, timeout_s=WAIT_S)
        except (StockadeError, TimeoutError):
            self._metrics.unresolved(dict.fromkeys(UNRESOLVED, UNKNOWN), dict.fromkeys(OPEN_PAYMENTS, UNKNOWN))
            return
        ages_s = {what: 0.0 if at is None else (now_ms - at) / 1000 for what, at in found.oldest_ms.items()}
        self._metrics.unresolved({what: getattr(found, what) for what in UNRESOLVED}, ages_s)

    def _uses_kafka(self) -> bool:
        names = {chosen_strategy(self._settings, group) for group in STRATEGY_GROUPS}
        return any("kafka" in registry.guarantees(name).needs for name in names)

    async def _refresh_events(self) -> None:
        try:
            async with asyncio.timeout(WAIT_S):
                waiting, oldest_ms, dead = await Outbox(self._database).lag()
        except (StockadeError, TimeoutError):
            self._metrics.events(UNKNOWN, UNKNOWN, UNKNOWN)
            return
        age_s = 0.0 if oldest_ms is None else max(0.0, (self._wall_clock_ms() - oldest_ms) / 1000)
        self._metrics.events(waiting, dead, age_s)

    async def _refresh_commands(self) -> None:
        if self._backlog is None:
            settings = self._settings
            self._backlog = Backlog(self._database, brokers_of(settings), settings.kafka_topic, WAIT_S)
        try:
            async with asyncio.timeout(WAIT_S):
                found: Mapping[int, float] = await self._backlog.read()
        except (StockadeError, TimeoutError):
            found = dict.fromkeys(self._partitions, UNKNOWN)
        self._partitions |= set(found)
        for partition, count in found.items():
            self._metrics.log(partition, count)
