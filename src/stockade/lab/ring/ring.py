"""Plays the cells of a ring one after the other, and goes on where an interrupted one stopped.

Neighbours: `design.py` chooses the cells, `player.py` plays one, `state_file.py` keeps results, `report.py` and
`matrix.py` show them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stockade.lab.ring.cell import Cell, CellResult
from stockade.lab.ring.design import Parts
from stockade.lab.ring.player import CellRunner
from stockade.lab.ring.state_file import StateFile


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
        runner: plays one.
        seed: of the ring, which decides the seed of each cell.
        state: results of cells that are finished.
        recording_seed: of each recording; None: the cell and the seed of the ring decide it.
    """

    parts: Parts
    cells: Sequence[Cell]
    runner: CellRunner
    seed: int
    state: StateFile
    recording_seed: int | None = None

    async def play(self, report: Callable[[Progress], None]) -> list[CellResult]:
        """Play every cell that is not finished.

        Args:
            report: called after each cell.
        """
        results, played_s, played = [], 0.0, 0
        for number, cell in enumerate(self.cells, 1):
            found = self.state.finished.get(cell.id)
            seed = cell.seed(self.seed) if self.recording_seed is None else self.recording_seed
            result = found or await self.runner.run(cell, seed, self.parts.expectation(cell))
            if not found:
                played, played_s = played + 1, played_s + result.wall_s
            results.append(result)
            rest = sum(1 for each in self.cells[number:] if each.id not in self.state.finished)
            report(Progress(result, number, len(self.cells), rest * played_s / max(played, 1), bool(found)))
            if not found:
                self.state.add(result)  # a file that cannot be written ends the ring, not without this result
        return results
