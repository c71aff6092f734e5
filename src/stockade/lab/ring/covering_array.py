"""A covering array: few combinations in which each pair of values of two factors occurs that can occur at all.

Greedy, in the manner of AETG: a combination is built around a pair that is not covered yet, the rarest first, and of
several the one that covers most is taken. Source: Cohen, Dalal, Fredman, Patton, "The AETG system: an approach to
testing based on combinatorial design", IEEE Transactions on Software Engineering 23(7), 1997. What differs: the
candidates are drawn from those that are possible, because there are few enough to list; and one factor may have
several values in a combination. A combination with three faults covers three pairs with its strategy, so the array has
a third of the rows.

Neighbours: `design.py` says what the factors of the ring are and what is possible.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

CANDIDATES: Final = 30  # for each row; the paper found that more of them gain little
Value: TypeAlias = tuple[str, str]  # the factor, and one of its values
Pair: TypeAlias = frozenset[Value]


class Row(NamedTuple):
    """A combination: one value of each factor, and one or more of the factor that may have several."""

    single: tuple[Value, ...]
    several: tuple[Value, ...]

    def pairs(self) -> Iterator[Pair]:
        """The pairs of values of two factors that occur in it."""
        for one, other in itertools.combinations(self.single, 2):
            yield frozenset((one, other))
        for one, other in itertools.product(self.single, self.several):
            yield frozenset((one, other))


@dataclass(frozen=True, slots=True)
class Factors:
    """What is combined.

    Attributes:
        single: by factor, its values; a row has one value of each.
        several_name: the factor of which a row may have several values.
        several: its values.
        at_most: how many of them a row has at most.
        possible: whether a row with one value of each factor can be played: factor -> value.
        together: whether two values of the factor with several can be in one row.
    """

    single: Mapping[str, Sequence[str]]
    several_name: str
    several: Sequence[str]
    at_most: int = 1
    possible: Callable[[Mapping[str, str]], bool] = lambda row: True
    together: Callable[[str, str], bool] = lambda one, other: True
    _answers: dict[Row, bool] = field(default_factory=dict, repr=False)

    def possible_rows(self) -> list[Row]:
        """Every row with one value of each factor that can be played."""
        singles = [[(factor, value) for value in values] for factor, values in self.single.items()]
        return [
            Row(single, ((self.several_name, value),))
            for single in itertools.product(*singles)
            for value in self.several
            if self.is_possible(Row(single, ((self.several_name, value),)))
        ]

    def is_possible(self, row: Row) -> bool:
        """Whether a row with one value of each factor can be played; asked once for each."""
        if row not in self._answers:
            self._answers[row] = self.possible(dict((*row.single, *row.several)))
        return self._answers[row]


def covering_array(factors: Factors, seed: int) -> list[Row]:
    """Rows in which every pair of values occurs that occurs in a possible row. The same for the same seed."""
    rng = random.Random(seed)
    possible = factors.possible_rows()
    rng.shuffle(possible)
    rows_with: dict[Pair, list[Row]] = {}
    for row in possible:
        for pair in row.pairs():
            rows_with.setdefault(pair, []).append(row)
    rarest_first = sorted(rows_with, key=lambda pair: len(rows_with[pair]))  # last, each would need a row for itself
    missing = dict.fromkeys(rarest_first)  # a set that keeps its order
    found = []
    while missing:
        some = rows_with[next(iter(missing))][:CANDIDATES]
        best = max((_extended(row, factors, missing) for row in some), key=lambda row: _gain(row, missing))
        found.append(best)
        for pair in best.pairs():
            missing.pop(pair, None)
    return found


def _gain(row: Row, missing: Mapping[Pair, None]) -> int:
    return sum(pair in missing for pair in row.pairs())


def _extended(row: Row, factors: Factors, missing: Mapping[Pair, None]) -> Row:
    """The row with further values of the factor with several, as long as each covers something new."""
    for _ in range(factors.at_most - len(row.several)):
        present = [value for _, value in row.several]
        more = [
            Row(row.single, (*row.several, (factors.several_name, value)))
            for value in factors.several
            if value not in present
            and all(factors.together(value, other) for other in present)
            and factors.is_possible(Row(row.single, ((factors.several_name, value),)))
        ]
        best = max(more, key=lambda each: _gain(each, missing), default=row)
        if _gain(best, missing) <= _gain(row, missing):
            return row
        row = best
    return row
