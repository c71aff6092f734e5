"""Pictures of a run: what a page draws while it moves, and the comparison with earlier runs.

The server draws, in a thread, at most once for each state of a run; a page asks at most once a second, seldomer where a
picture takes long, and only while it is looked at. Measured against drawing in the browser: docs/live.md. Neighbours:
`lab/charts/` draws.
"""

import asyncio
import math
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from stockade.lab.charts import Axis, Bar, Event, Series, Spec, bars, lines, styles, svg
from stockade.lab.errors import LabError
from stockade.lab.live.plan import BURST
from stockade.lab.live.running.figures import thinned
from stockade.lab.live.runs import Run
from stockade.lab.live.words import words

FIGURES: Final = ("accepted", "p95_ms", "batch", "waiting", "left", "violations", "twice", "rate")
COUNTS: Final = ("accepted", "waiting", "left", "violations", "twice")
LEAST_WIDTH, MOST_WIDTH = 280, 1_000  # pixels
HEIGHT: Final = 180
DRAWN_POINTS: Final = 60  # of a control
KEPT: Final = 40  # pictures
ROOM: Final = 1.04  # above the highest value, so that no mark is cut
TOPS: Final = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)  # times a power of ten: those at which the axis has a label
LEAST_COUNT: Final = 3.0  # at the top of an axis of whole numbers, so that no label is a fraction
ROUND_ROOM: Final = 60  # pixels of the picture for each label of a round
ROUND_STEPS: Final = (1, 2, 5, 10, 20, 50, 100)  # rounds between two labels
BAR_COLOURS: Final = ("#0072b2", "#b3261e")  # kept, broken


class Pictures:
    """Draws, and keeps what it drew last."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "stockade-live-pictures")
        self._kept: OrderedDict[tuple[Any, ...], str] = OrderedDict()
        self._is_warm = False

    async def of_run(self, run: Run, figure: str, width: int, language: str) -> str:
        """One figure of a run over its rounds or seconds, a line for each control.

        Args:
            run: to draw.
            figure: one of `FIGURES`.
            width: of the picture, in pixels.
            language: of its words.

        Raises:
            LabError: there is no such figure; or the library that draws is not installed (`ChartsMissing`).
        """
        if figure not in FIGURES:
            raise LabError(f"figure must be one of: {', '.join(FIGURES)}")
        width = min(max(width, LEAST_WIDTH), MOST_WIDTH)
        key = (run.number, run.version, figure, width, language)
        return await self._drawn(key, partial(_lines, run, figure, width, language))

    async def of_all(self, runs: list[Run], width: int, language: str) -> str:
        """The rates of all controls of these runs.

        Args:
            runs: to compare.
            width: of the picture, in pixels.
            language: of its words.

        Raises:
            ChartsMissing: the library that draws is not installed.
        """
        width = min(max(width, LEAST_WIDTH), MOST_WIDTH)
        key = (*((run.number, run.version) for run in runs), width, language)
        return await self._drawn(key, partial(_bars, runs, width, language))

    async def _drawn(self, key: tuple[Any, ...], make: Any) -> str:
        if key not in self._kept:
            specification: Spec = make()
            drawn = await asyncio.get_running_loop().run_in_executor(self._thread, svg, specification)
            self._kept[key] = drawn
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return self._kept[key]

    def warm(self) -> None:
        """Start what draws before the first run, which would else share the processor with it for a second."""
        if self._is_warm:
            return
        self._is_warm = True
        self._thread.submit(svg, lines([], Axis(""), Axis(""), width=LEAST_WIDTH))

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _lines(run: Run, figure: str, width: int, language: str) -> Spec:
    said = words(language)
    burst = run.plan.kind == BURST
    right = said["chart.right"]
    styled = styles((*run.plan.controls, right))
    series = [
        Series(leg.control, styled[leg.control], tuple((p["x"], p[figure]) for p in points if p[figure] is not None))
        for leg in run.legs
        for points in [thinned(leg.points, DRAWN_POINTS)]
    ]
    if run.right is not None and figure == "accepted" and series:
        series.append(Series(right, styled[right], ((1, run.right), (_last(series), run.right))))
    events = (
        [Event(at_s, name) for at_s, name, action, _ in run.legs[-1].sums.get("faults", ()) if action == "inject"]
        if run.legs
        else []
    )
    return lines(
        [each for each in series if each.points],
        _rounds(said["chart.round"], _last(series), width) if burst else Axis(said["chart.seconds"]),
        Axis(said[f"figure.{figure}"], most=_top(series, figure)),
        width=width,
        height=HEIGHT,
        events=events,
    )


def _last(series: list[Series]) -> float:
    return max((point[0] for each in series for point in each.points), default=1)


def _rounds(title: str, last: float, width: int) -> Axis:
    """The axis of rounds: it begins before the first one, and its labels are whole numbers."""
    most = max(width // ROUND_ROOM, 2)
    step = next((step for step in ROUND_STEPS if last / step <= most), ROUND_STEPS[-1])
    ticks = (1.0, *(float(number) for number in range(step, int(last) + 1, step) if number > 1))
    return Axis(title, least=0.5, most=last + 0.5, ticks=ticks)


def _top(series: list[Series], figure: str) -> float:
    """The end of the axis: a round number, with its label, above all values."""
    highest = max((value for each in series for _, value in each.points), default=0.0) * ROOM
    if highest <= 0:
        return LEAST_COUNT
    power = 10.0 ** math.floor(math.log10(highest))
    top = next(step * power for step in TOPS if step * power >= highest)
    return max(top, LEAST_COUNT) if figure in COUNTS else top


def _bars(runs: list[Run], width: int, language: str) -> Spec:
    rows = [
        Bar(
            f"{run.number}. {leg.control}",
            float(leg.sums["rate"]),
            f"{leg.sums['rate']:,.0f}",
            BAR_COLOURS[bool(leg.sums.get("violations"))],
        )
        for run in runs
        for leg in run.legs
        if leg.sums
    ]
    return bars(rows, Axis(words(language)["figure.rate"]), width=width)
