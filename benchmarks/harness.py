"""The measured loop: callers place one order after the other, arms take turns, and an audit follows each run.

Throughput on a shared machine changes by a third within an hour, so results of different rounds are not compared. In
each round every arm runs once; ratios are computed inside the round, and `report.py` prints their median and range.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from benchmarks import processor
from benchmarks.target import BenchmarkDatabase, Buy
from stockade.shop.operations.tune_gc import tune_gc

Place = Callable[[Buy], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Sample:
    """One arm in one round.

    Attributes:
        arm: its name.
        callers: how many placed orders at the same time.
        orders_s: orders answered a second inside the measured time.
        p50_ms: latency; NaN if the arm does not measure it.
        p99_ms: the same.
        answered: orders answered in the whole run, warm-up and end included; the tables contained exactly these.
        client_us: processor time of this process for an order.
        server_us: processor time of the server for an order.
        notes: further figures of the arm, e.g. transactions for an order.
    """

    arm: str
    callers: int
    round: int
    orders_s: float
    p50_ms: float
    p99_ms: float
    answered: int
    client_us: float
    server_us: float
    notes: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The sample as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take.

    Attributes:
        rounds: measured rounds; one more runs before them and does not count.
        warm_s: not measured at the start of each run.
        measured_s: measured after that.
    """

    rounds: int = 5
    warm_s: float = 0.7
    measured_s: float = 2.0


class Arm(Protocol):
    """One way to place orders, with its number of callers."""

    @property
    def name(self) -> str: ...

    def open(self, target: BenchmarkDatabase) -> AbstractAsyncContextManager["Opened"]:
        """Connect; stays open for all rounds, so that pools and prepared statements are warm."""
        ...


class Opened(Protocol):
    """An arm that is connected."""

    async def run(self, target: BenchmarkDatabase, pace: Pace) -> Sample:
        """One run on emptied tables, audited after.

        Raises:
            AssertionError: the tables do not agree with the responses.
        """
        ...


class Loop:
    """An arm that runs in this process: `callers` tasks call `place` one order after the other.

    Args:
        name: of the arm.
        callers: how many place orders at the same time.
        place: places one order, returns whether it was accepted.
        notes: further figures, computed after the run from the number of orders.
    """

    def __init__(
        self, name: str, callers: int, place: Place, notes: Callable[[int], dict[str, float]] | None = None
    ) -> None:
        self._name, self._callers, self._place, self._notes = name, callers, place, notes

    async def run(self, target: BenchmarkDatabase, pace: Pace) -> Sample:
        """One run on emptied tables: warm up, measure, let every caller finish its order, audit."""
        before = await target.reset()
        took_s: list[float] = []
        state = _State()
        tasks = [asyncio.create_task(self._call(target, state, took_s)) for _ in range(self._callers)]
        await asyncio.sleep(pace.warm_s)
        began_s, client_s, server_s = _clocks(target)
        state.measuring = True
        await asyncio.sleep(pace.measured_s)
        state.measuring = False
        end_s, client_end_s, server_end_s = _clocks(target)
        measured = len(took_s)
        state.over = True
        await asyncio.gather(*tasks)
        await target.audit(before, state.answered)
        took_s.sort()
        return Sample(
            self._name,
            self._callers,
            0,
            measured / (end_s - began_s),
            percentile(took_s, 0.50) * 1e3,
            percentile(took_s, 0.99) * 1e3,
            state.answered,
            (client_end_s - client_s) / max(1, measured) * 1e6,
            (server_end_s - server_s) / max(1, measured) * 1e6,
            self._notes(state.answered) if self._notes else {},
        )

    async def _call(self, target: BenchmarkDatabase, state: "_State", took_s: list[float]) -> None:
        clock = time.perf_counter
        while not state.over:
            buy = target.next_buy()
            began_s = clock()
            accepted = await self._place(buy)
            if not accepted:
                raise AssertionError(f"{self._name} refused an order that must be accepted: {buy}")
            state.answered += 1
            if state.measuring:
                took_s.append(clock() - began_s)


@dataclass(slots=True)
class _State:
    measuring: bool = False
    over: bool = False
    answered: int = 0


def _clocks(target: BenchmarkDatabase) -> tuple[float, float, float]:
    server_s = processor.family_s(target.server.pid)
    return time.perf_counter(), processor.own_s(), server_s


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that `share` of the ascending values do not exceed; NaN of none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


async def take_turns(target: BenchmarkDatabase, arms: Sequence[Arm], pace: Pace) -> AsyncIterator[Sample]:
    """Run A B C A B C …; the first round does not count."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(arm.open(target)) for arm in arms]
        for number in range(pace.rounds + 1):
            for arm in opened:
                sample = await arm.run(target, pace)
                if number:
                    yield replace(sample, round=number)


def calm_collector() -> None:
    """Tune the garbage collector as a serving process does, for all arms."""
    tune_gc()


def ratios(samples: Sequence[Sample], arm: str, over: str) -> list[float]:
    """orders/s of one arm over another's, round by round."""
    of = {sample.round: sample.orders_s for sample in samples if sample.arm == arm}
    base = {sample.round: sample.orders_s for sample in samples if sample.arm == over}
    return [of[number] / base[number] for number in sorted(of.keys() & base.keys())]
