"""Plays the cells of a ring one after the other, keeps what failed, and goes on where an interrupted one stopped.

Neighbours: `design.py` chooses the cells, `play.py` records and judges one, `state_file.py` keeps results,
`report.py` and `matrix.py` show them.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from stockade.core import StockadeError
from stockade.lab.checkers.violation import Violation
from stockade.lab.errors import LabError
from stockade.lab.history.history import History
from stockade.lab.history.history_file import write_history
from stockade.lab.ring.cell import NO_FAULT, Cell, CellResult, Found
from stockade.lab.ring.design import Parts, PlannedCell
from stockade.lab.ring.expectation import FAILED, NOT_CAUGHT, VIOLATED, verdict
from stockade.lab.ring.state_file import StateFile

TRIES: Final = 2  # of a cell whose recording failed: a server that did not start in time says nothing about a claim
LIMIT_S: Final = 90.0  # for one recording beside its load: servers start, faults heal, open requests are decided
KEPT_DETAILS: Final = 5  # violations of a cell that are kept with its result; the history has the rest


class Recorded(NamedTuple):
    """A recording that was judged."""

    history: History
    violations: Sequence[Violation]


class Player(Protocol):
    """Records a cell and judges the history."""

    async def __call__(self, cell: Cell, seed: int, *, control: bool) -> Recorded:
        """Play a cell.

        Args:
            cell: which one.
            seed: of the recording.
            control: the contender must be caught.

        Raises:
            LabError: it cannot be recorded.
        """
        ...


class Progress(NamedTuple):
    """How far a ring is.

    Attributes:
        result: of the cell that has just been played, or that was found in the state file.
        number: of this cell, from 1.
        total: cells of the ring.
        left_s: time that the rest will take, as far as the cells so far can say; 0 when nothing is left.
        again: whether it was found and not played.
    """

    result: CellResult
    number: int
    total: int
    left_s: float
    again: bool


@dataclass(frozen=True, slots=True)
class Ring:
    """What is played, and how.

    Attributes:
        parts: what the cells are made of.
        cells: in the order to play.
        player: plays one.
        seed: of the ring, which decides the seed of each cell.
        seconds: of load in each cell.
        state: results of cells that are finished.
        histories: folder for the histories of cells that failed; made when one is written.
    """

    parts: Parts
    cells: Sequence[PlannedCell]
    player: Player
    seed: int
    seconds: float
    state: StateFile
    histories: Path

    async def play(self, report: Callable[[Progress], None]) -> list[CellResult]:
        """Play every cell that is not finished.

        Args:
            report: called after each cell.
        """
        results, played_s, played = [], 0.0, 0
        for number, planned in enumerate(self.cells, 1):
            found = self.state.finished.get(planned.cell.id)
            result = found or await self._play(planned)
            if not found:
                self.state.add(result)
                played, played_s = played + 1, played_s + result.wall_s
            results.append(result)
            rest = sum(1 for each in self.cells[number:] if each.cell.id not in self.state.finished)
            report(Progress(result, number, len(self.cells), rest * played_s / max(played, 1), bool(found)))
        return results

    async def _play(self, planned: PlannedCell) -> CellResult:
        cell, seed = planned.cell, planned.cell.seed(self.seed)
        expectation, began_s = self.parts.expectation(planned), time.monotonic()
        reason = ""
        for _ in range(TRIES):
            try:
                async with asyncio.timeout(LIMIT_S + self.seconds):
                    recorded = await self.player(cell, seed, control=planned.control)
                break
            except TimeoutError:
                reason = f"not recorded within {LIMIT_S + self.seconds:.0f} s"
            except (LabError, StockadeError, OSError) as error:
                reason = str(error) or type(error).__name__
        else:
            return CellResult(cell, seed, expectation, FAILED, wall_s=time.monotonic() - began_s, reason=reason)
        missed = _missed_faults(cell, recorded.history)
        found = FAILED if missed else verdict(expectation, broken=bool(recorded.violations))
        return CellResult(
            cell,
            seed,
            expectation,
            found,
            violations=tuple(Found(each.rule, each.detail) for each in recorded.violations[:KEPT_DETAILS]),
            operations=Counter(each.type for each in recorded.history.operations),
            wall_s=time.monotonic() - began_s,
            history=self._keep(cell, recorded.history) if found in (VIOLATED, NOT_CAUGHT, FAILED) else "",
            reason=f"never injected: {', '.join(missed)}" if missed else "",
        )

    def _keep(self, cell: Cell, history: History) -> str:
        self.histories.mkdir(parents=True, exist_ok=True)
        path = self.histories / f"{cell.id.replace(':', '-')}.{self.seed}.jsonl"
        write_history(history, path)
        return str(path)


def _missed_faults(cell: Cell, history: History) -> list[str]:
    """The faults of a cell that its recording never injected: it says nothing about them."""
    injected = {event.fault for event in history.fault_log if event.action == "inject"}
    return [name for name in cell.faults if name != NO_FAULT and name not in injected]
