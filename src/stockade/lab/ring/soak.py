"""The soak: long recordings one after the other, everything about each drawn from the seed.

Which faults, how many and when differs from round to round, so that what a mix of all faults would hide is seen too
(swarm testing: Groce, Zhang, Eide, Chen, Regehr, "Swarm testing", ISSTA 2012). Neighbours: `design.py` has the parts,
`player.py` plays a round.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, NamedTuple

from stockade.lab.errors import LabError
from stockade.lab.recording.fault import Fault, fit_together, protects_rows
from stockade.lab.ring.cell import NO_FAULT, Cell, CellResult
from stockade.lab.ring.design import Parts
from stockade.lab.ring.expectation import FAILED, HELD, LATE, VIOLATED, expected
from stockade.lab.ring.player import CellRunner

MOST_FAULTS: Final = 6  # kinds of faults in one round
MAX_FAILED: Final = 5  # rounds without a recording in a row: then the machine is at fault


class Round(NamedTuple):
    """One recording of a soak: its number from 1, what is recorded, and the seed of the recording."""

    number: int
    cell: Cell
    seed: int


def draw_round(parts: Parts, seed: int, number: int) -> Round:
    """The round of a number: equal parts, seeds and numbers give equal rounds.

    Raises:
        LabError: no contender of these parts claims anything, or none runs on these databases.
    """
    rng = random.Random(f"soak-{seed}-{number}")
    contenders = [
        (contender, database)
        for contender in parts.contenders
        for database in parts.databases
        if protects_rows(contender) and not parts.why_not(contender, NO_FAULT, database)
    ]
    if not contenders or not parts.workloads:
        raise LabError("nothing to soak: no strategy that protects rows runs on these databases")
    contender, database = rng.choice(contenders)
    possible = [
        fault
        for fault in parts.faults
        if not parts.why_not(contender, fault.name, database) and expected(contender, [fault], control=False) == HELD
    ]
    rng.shuffle(possible)
    chosen: list[Fault] = []
    wanted = rng.randint(1, MOST_FAULTS)
    for fault in possible:
        if len(chosen) < wanted and all(fit_together(fault, other) for other in chosen):
            chosen.append(fault)
    cell = Cell(database, contender.name, tuple(fault.name for fault in chosen), rng.choice(parts.workloads).name)
    return Round(number, cell, rng.getrandbits(32))


def gave_up(results: Sequence[CellResult]) -> str:
    """Why a soak with these rounds ended before its time: too many without a recording. Empty: it did not."""
    if [each.verdict for each in results[-MAX_FAILED:]] != [FAILED] * MAX_FAILED:
        return ""
    return f"ended: {MAX_FAILED} rounds in a row could not be recorded; the last: {results[-1].reason}"


@dataclass(frozen=True, slots=True)
class Soak:
    """Rounds until the time is over.

    Attributes:
        parts: what rounds are drawn from.
        runner: plays one.
        seed: decides every round.
        minutes: no round begins after this time.
        keep_going: also after a violation.
        only: play this round alone; 0: all.
        recording_seed: of each recording; None: as drawn.
    """

    parts: Parts
    runner: CellRunner
    seed: int
    minutes: float
    keep_going: bool = False
    only: int = 0
    recording_seed: int | None = None

    async def run(self, report: Callable[[Round, CellResult], None]) -> list[CellResult]:
        """Play the rounds, until the time is over, a rule is broken, or several in a row could not be recorded.

        Args:
            report: called after each.

        Raises:
            LabError: nothing can be played.
        """
        results: list[CellResult] = []
        for number in self._numbers():
            drawn = draw_round(self.parts, self.seed, number)
            seed = drawn.seed if self.recording_seed is None else self.recording_seed
            result = await self.runner.run(drawn.cell, seed, HELD)
            results.append(result)
            report(drawn, result)
            if (result.verdict in (VIOLATED, LATE) and not self.keep_going) or gave_up(results):
                break
        return results

    def _numbers(self) -> Iterator[int]:
        if self.only:
            yield self.only
            return
        ends_s = time.monotonic() + self.minutes * 60
        for number in count(1):
            yield number
            if time.monotonic() >= ends_s:
                return
