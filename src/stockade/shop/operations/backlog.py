"""How far behind relays and workers are: events that wait for the sink, commands that wait in the log.

Both are questions to the database and the brokers, so their answers are kept for a few seconds and bounded in time:
/metrics may be asked as often as anyone likes. Neighbours: `metrics` shows them, `store.outbox` and
`strategies.kafka_watch` answer, `http.desk` asks; the command line uses `behind`.
"""

import asyncio
import time
from collections.abc import Callable, Mapping

from stockade.core import StockadeError
from stockade.kafka.admin import Span, Watch
from stockade.shop.config.kafka_brokers import brokers_of
from stockade.shop.config.settings import Settings
from stockade.shop.config.strategy_choice import RESOURCES, chosen_strategy
from stockade.shop.operations.metrics import Metrics
from stockade.shop.relay.service import KEEP
from stockade.store import Database
from stockade.store.consumer_offsets import ConsumerOffsets
from stockade.store.outbox import Outbox
from stockade.strategies import registry

KEEP_S = 5.0
WAIT_S = 2.0
UNKNOWN = float("nan")


def behind(spans: Mapping[int, Span], positions: Mapping[int, int]) -> dict[int, int]:
    """How many messages of each partition are not decided; one that nobody has read yet counts from its first."""
    return {part: max(0, span.end - max(span.first, positions.get(part, 0))) for part, span in spans.items()}


class Lags:
    """Keeps the metrics of what waits up to date, as far as the settings use an outbox and a log.

    Args:
        settings: name the sink, and the log.
        database: with the outbox and the positions.
        metrics: where the figures go; not a number when they could not be had.
        now_ms: the wall clock, milliseconds since 1970: events carry the time at which they were made.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        metrics: Metrics,
        now_ms: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._database, self._metrics = settings, database, metrics
        self._now_ms, self._clock = now_ms, clock
        self._next_s = clock()
        self._watch: Watch | None = None
        self._parts: set[int] = set()

    async def refresh(self) -> None:
        """Ask again if the last answers are older than `KEEP_S`; takes `WAIT_S` at most, and never fails."""
        if self._clock() < self._next_s:
            return
        self._next_s = self._clock() + KEEP_S  # before asking: who comes meanwhile gets the answers there are
        asked = []
        if self._settings.events != KEEP:
            asked.append(self._events())
        if self._over_log():
            asked.append(self._log())
        await asyncio.gather(*asked)

    def _over_log(self) -> bool:
        names = {chosen_strategy(self._settings, resource) for resource in RESOURCES}
        return any("kafka" in registry.guarantees(name).needs for name in names)

    async def _events(self) -> None:
        try:
            async with asyncio.timeout(WAIT_S):
                waiting, oldest_ms, dead = await Outbox(self._database).lag()
        except (StockadeError, TimeoutError):
            self._metrics.events(UNKNOWN, UNKNOWN, UNKNOWN)
            return
        age_s = 0.0 if oldest_ms is None else max(0.0, (self._now_ms() - oldest_ms) / 1000)
        self._metrics.events(waiting, dead, age_s)

    async def _log(self) -> None:
        try:
            async with asyncio.timeout(WAIT_S):
                found: Mapping[int, float] = await self._behind()
        except (StockadeError, TimeoutError):
            found = dict.fromkeys(self._parts, UNKNOWN)
        self._parts |= set(found)
        for part, count in found.items():
            self._metrics.log(part, count)

    async def _behind(self) -> dict[int, int]:
        topic = self._settings.kafka_topic
        watch = self._watch = self._watch or Watch(brokers_of(self._settings), WAIT_S)
        # first the positions: asked the other way round, a busy log would look decided beyond its end
        positions = await ConsumerOffsets(self._database, topic).read()
        return behind(await asyncio.to_thread(watch.spans, topic), positions)
