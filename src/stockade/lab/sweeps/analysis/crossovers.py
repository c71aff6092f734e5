"""Where the order of two strategies flips along an axis. Pure functions.

The two were played in the same rounds, so each round gives one ratio. At a value of the axis one of them is faster if
the interval of the median ratio does not contain 1 and rests on enough rounds; otherwise the value is not clear. The
flip lies between the last value where one is clearly faster and the first one where the other is. Values at which a
point does not count are left out. Neighbours: `statistics.py` has the interval, `summary.py` says what counts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from stockade.core import JsonValue
from stockade.lab.sweeps.analysis.statistics import Interval, ratios, rounded
from stockade.lab.sweeps.analysis.summary import FIGURES, PointResult

FLIPS, NONE, NOT_CLEAR, NOT_MEASURED = "flips", "none", "not clear", "not measured"
METRIC: Final = "decided_s"
TRUSTED: Final = 0.9  # coverage below which an interval decides nothing: fewer than five rounds

QUESTIONS: Final = (  # which orders of the strategies the reports argue about
    ("optimistic against pessimistic", "optimistic", "pessimistic"),
    ("spin against pub/sub", "redis-spin", "redis-pubsub"),
    ("batching against one by one", "sequencer", "pessimistic"),
    ("Kafka against a queue in the process", "kafka", "sequencer"),
    ("Kafka against row locks", "kafka", "pessimistic"),
)


class Compared(NamedTuple):
    """The first strategy against the second at one value.

    Attributes:
        value: of the axis.
        ratio: of their rates, first/second.
    """

    value: float
    ratio: Interval

    @property
    def sign(self) -> int:
        """1: the first is faster, -1: the second is, 0: that is not clear."""
        if self.ratio.coverage < TRUSTED:
            return 0
        if self.ratio.low > 1:
            return 1
        return -1 if self.ratio.high < 1 else 0


@dataclass(frozen=True, slots=True)
class Crossover:
    """What an axis does to the order of two strategies.

    Attributes:
        axis: its name.
        question: what is asked, in words.
        first: a strategy.
        second: the other one.
        verdict: `flips`; `none`: the same one is faster throughout; `not clear`; `not measured`.
        at: where the median ratio is 1, between measured values by interpolation; None unless it flips.
        low: the last value where the one is clearly faster; None unless it flips.
        high: the first value where the other is.
        before: who is faster below it; of `none`, who is faster. Empty: nobody clearly.
        after: who is faster above it.
        compared: what it rests on.
        reason: why values are missing; empty if none is.
    """

    axis: str
    question: str
    first: str
    second: str
    verdict: str
    at: float | None = None
    low: float | None = None
    high: float | None = None
    before: str = ""
    after: str = ""
    compared: tuple[Compared, ...] = ()
    reason: str = ""

    def as_json(self) -> dict[str, JsonValue]:
        """One of the crossovers of the document."""
        where: list[JsonValue] | None = None if self.low is None else [self.low, self.high]
        return {
            "axis": self.axis,
            "question": self.question,
            "between": [self.first, self.second],
            "metric": METRIC,
            "verdict": self.verdict,
            "at": None if self.at is None else rounded(self.at),
            "interval": where,
            "before": self.before,
            "after": self.after,
            "ratios": [{"value": each.value, **each.ratio.as_json()} for each in self.compared],
            "reason": self.reason,
        }


def crossovers(results: Sequence[PointResult]) -> list[Crossover]:
    """All questions on all axes; one that flips several times has an entry for each flip."""
    axes = list(dict.fromkeys(result.point.axis for result in results))
    return [
        found
        for axis in axes
        for question, first, second in QUESTIONS
        for found in between(results, axis, first, second, question)
    ]


def between(results: Sequence[PointResult], axis: str, first: str, second: str, question: str = "") -> list[Crossover]:
    """What an axis does to the order of two strategies.

    Args:
        results: of the sweep.
        axis: its name.
        first: name of a contender.
        second: name of another one.
        question: for the entry.
    """
    ours = {result.point.value: result for result in results if _is(result, axis, first)}
    theirs = {result.point.value: result for result in results if _is(result, axis, second)}
    question = question or f"{first} against {second}"
    compared, reasons = list[Compared](), list[str]()
    for value in sorted({*ours, *theirs}):
        one, other = ours.get(value), theirs.get(value)
        if one is None or other is None:
            continue
        why = one.why_not or other.why_not
        ratio = None if why else compare(one, other)
        if ratio is not None:
            compared.append(Compared(value, ratio))
        else:
            reasons.append(f"{value:g}: {why or 'no round in common'}")
    reason = "; ".join(reasons)
    if not compared:
        missing = [name for name, there in ((first, ours), (second, theirs)) if not there]
        reason = f"not played: {', '.join(missing)}" if missing else reason
        return [Crossover(axis, question, first, second, NOT_MEASURED, reason=reason)]
    return _flips(Crossover(axis, question, first, second, NOT_CLEAR, compared=tuple(compared), reason=reason))


def compare(one: PointResult, other: PointResult, metric: str = METRIC) -> Interval | None:
    """The ratio one/other of a figure, of the rounds that both have; None: there is none."""
    ours, theirs = one.by_round(FIGURES[metric]), other.by_round(FIGURES[metric])
    both = sorted(ours.keys() & theirs.keys())
    return ratios([ours[number] for number in both], [theirs[number] for number in both])


def _is(result: PointResult, axis: str, name: str) -> bool:
    return result.point.axis == axis and result.contender.name == name


def _flips(asked: Crossover) -> list[Crossover]:
    """The entries of an axis of which something was compared."""
    names = {1: asked.first, -1: asked.second}
    clear = [(number, each) for number, each in enumerate(asked.compared) if each.sign]
    found = list[Crossover]()
    for (start, low), (end, high) in pairwise(clear):
        if low.sign == high.sign:
            continue
        found.append(
            Crossover(
                asked.axis,
                asked.question,
                asked.first,
                asked.second,
                FLIPS,
                at=_zero(asked.compared[start : end + 1]),
                low=low.value,
                high=high.value,
                before=names[low.sign],
                after=names[high.sign],
                compared=asked.compared,
                reason=asked.reason,
            )
        )
    if found:
        return found
    # one that is faster here and not clearly slower anywhere else is faster, as far as this sweep can tell
    signs = {each.sign for _, each in clear}
    verdict = NONE if len(clear) == len(asked.compared) else NOT_CLEAR
    faster = names[signs.pop()] if signs else ""
    return [
        Crossover(
            asked.axis,
            asked.question,
            asked.first,
            asked.second,
            verdict,
            before=faster,
            compared=asked.compared,
            reason=asked.reason,
        )
    ]


def _zero(compared: Sequence[Compared]) -> float:
    """Where the logarithm of the median ratio is 0, by linear interpolation between the values around it."""
    for low, high in pairwise(compared):
        begin, end = math.log(low.ratio.median), math.log(high.ratio.median)
        if begin == 0:
            return low.value
        if begin * end < 0:
            return low.value + (high.value - low.value) * begin / (begin - end)
    return compared[-1].value
