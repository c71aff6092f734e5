"""Plays one cell: records it, compares what the checkers found with what was claimed, keeps the history of a failure.

Neighbours: `recording_player.py` is the player over real servers, `ring.py` and `soak.py` choose what is played.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from stockade.core import StockadeError
from stockade.lab.checkers.violation import Violation
from stockade.lab.errors import LabError
from stockade.lab.history.history import History
from stockade.lab.history.history_file import write_history
from stockade.lab.ring.cell import Cell, CellResult, Found
from stockade.lab.ring.expectation import FAILED, NOT_CAUGHT, VIOLATED, verdict

TRIES: Final = 2  # of a recording that failed: a server that did not start in time says nothing about a claim
LIMIT_S: Final = 90.0  # for a recording beside its load: servers start, faults heal, open requests are decided
KEPT_VIOLATIONS: Final = 5  # with the result of a cell; the history has the rest


class Recorded(NamedTuple):
    """A recording that was judged."""

    history: History
    violations: Sequence[Violation]


class Player(Protocol):
    """Records a cell and judges the history."""

    async def __call__(self, cell: Cell, seed: int) -> Recorded:
        """Record a cell.

        Args:
            cell: which one.
            seed: of the recording.

        Raises:
            LabError: it cannot be recorded.
        """
        ...


@dataclass(frozen=True, slots=True)
class CellRunner:
    """Plays cells.

    Attributes:
        player: records.
        seconds: of load in each.
        histories: folder for the histories of cells that failed; made when one is written.
    """

    player: Player
    seconds: float
    histories: Path

    async def run(self, cell: Cell, seed: int, expectation: str) -> CellResult:
        """Play a cell.

        Args:
            cell: which one.
            seed: of the recording.
            expectation: what its contender claims about it.
        """
        began_s = time.monotonic()
        recorded, reason = await self._record(cell, seed)
        if recorded is None:
            return CellResult(cell, seed, expectation, FAILED, wall_s=time.monotonic() - began_s, reason=reason)
        history, violations = recorded
        missed = _missed_faults(cell, history)
        found = FAILED if missed else verdict(expectation, broken=bool(violations))
        return CellResult(
            cell,
            seed,
            expectation,
            found,
            violations=tuple(Found(each.rule, each.detail) for each in violations[:KEPT_VIOLATIONS]),
            operations=Counter(each.type for each in history.operations),
            wall_s=time.monotonic() - began_s,
            history=self._keep(cell, history) if found in (VIOLATED, NOT_CAUGHT, FAILED) else "",
            reason=f"never injected: {', '.join(missed)}" if missed else "",
        )

    async def _record(self, cell: Cell, seed: int) -> tuple[Recorded | None, str]:
        """The recording, or None and why there is none."""
        reason, limit_s = "", LIMIT_S + self.seconds
        for _ in range(TRIES):
            try:
                async with asyncio.timeout(limit_s):
                    return await self.player(cell, seed), ""
            except TimeoutError:
                reason = f"not recorded within {limit_s:.0f} s"
            except (LabError, StockadeError, OSError) as error:  # the next cell may go well
                reason = f"{type(error).__name__}: {error}"
        return None, reason

    def _keep(self, cell: Cell, history: History) -> str:
        self.histories.mkdir(parents=True, exist_ok=True)
        path = self.histories / f"{cell.id.replace(':', '-')}.{history.seed}.jsonl"
        write_history(history, path)
        return str(path)


def _missed_faults(cell: Cell, history: History) -> list[str]:
    """The faults of a cell that its recording never injected: it says nothing about them."""
    injected = {event.fault for event in history.fault_log if event.action == "inject"}
    return [name for name in cell.faults if name not in injected]
