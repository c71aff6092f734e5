"""Plays one cell: records it, compares what the checkers found with what was claimed, keeps the history of a failure.

Neighbours: `recording_player.py` is the player over real servers, `ring.py` and `soak.py` choose what is played.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from stockade.lab.checkers import ABOUT_TIME
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.history import History
from stockade.lab.history.history_file import write_history
from stockade.lab.ring.cell import Cell, CellResult, Found
from stockade.lab.ring.expectation import FAILED, NOT_CAUGHT, VIOLATED, verdict

TRIES: Final = 2  # of a recording that failed: a server that did not start in time says nothing about a claim
TRIES_OF_A_CONTROL: Final = 4
LIMIT_S: Final = 90.0  # for a recording beside its load: servers start, faults heal, open requests are decided


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
        """Play a cell; some a second time.

        A control that was not caught is played with the next seeds, because a fault may miss the moment. A strategy
        that was late, slow to come back or slow to give something back is played once more with the same seed: this
        machine may have been busy. If it is again, it counts. A rule about data that is broken counts at once.

        Args:
            cell: which one.
            seed: of the recording.
            expectation: what its contender claims about it.
        """
        began_s, earlier = time.monotonic(), []
        for number in range(1, TRIES_OF_A_CONTROL + 1):
            result = await self._try(cell, seed, expectation)
            if result.verdict == NOT_CAUGHT:
                seed += 1
            elif not (number == 1 and result.verdict == VIOLATED and _is_about_time(result)):
                break
            earlier.append(_shown(result))
        again = f"before: {'; '.join(earlier)}" if earlier and result.verdict != NOT_CAUGHT else ""
        reason = "; ".join(each for each in (result.reason, again) if each)
        return replace(result, wall_s=time.monotonic() - began_s, reason=reason)

    async def _try(self, cell: Cell, seed: int, expectation: str) -> CellResult:
        recorded, reason = await self._record(cell, seed)
        if recorded is None:
            return CellResult(cell, seed, expectation, FAILED, reason=reason)
        history, violations = recorded
        missed = _missed_faults(cell, history)
        found = FAILED if missed else verdict(expectation, {each.rule for each in violations})
        return CellResult(
            cell,
            seed,
            expectation,
            found,
            violations=_first_of_each_rule(violations),
            operations=Counter(each.type for each in history.operations),
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
            except Exception as error:  # noqa: BLE001 - whatever a driver raises: it is the result of this cell
                reason = f"{type(error).__name__}: {error}"
        return None, reason

    def _keep(self, cell: Cell, history: History) -> str:
        self.histories.mkdir(parents=True, exist_ok=True)
        path = self.histories / f"{cell.id.replace(':', '-')}.{history.seed}.jsonl"
        write_history(history, path)
        return str(path)


def _first_of_each_rule(violations: Sequence[Violation]) -> tuple[Found, ...]:
    """What is kept with the result; the history has the rest."""
    first = {each.rule: Found(each.rule, each.detail) for each in reversed(violations)}
    return tuple(first[rule] for rule in dict.fromkeys(each.rule for each in violations))


def _is_about_time(result: CellResult) -> bool:
    return all(each.rule in ABOUT_TIME for each in result.violations)


def _shown(result: CellResult) -> str:
    """What an earlier try found, in a few words."""
    (first, *_) = [f"{each.rule}: {each.detail}" for each in result.violations] or [result.verdict]
    return f"seed {result.seed}: {first}"


def _missed_faults(cell: Cell, history: History) -> list[str]:
    """The faults of a cell that its recording never injected: it says nothing about them."""
    injected = {event.fault for event in history.fault_log if event.action == "inject"}
    return [name for name in cell.faults if name not in injected]
