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

from stockade.lab.checkers.exposure import exposures
from stockade.lab.checkers.violation import Violation
from stockade.lab.errors import LabError
from stockade.lab.history.history import History
from stockade.lab.history.history_file import write_history
from stockade.lab.recording.engine import LONGEST_S
from stockade.lab.ring.cell import Cell, CellResult, Found
from stockade.lab.ring.expectation import FAILED, FAILURES, LATE, NOT_CAUGHT, NOT_EXPOSED, verdict

TRIES: Final = 2  # of a recording that failed: a server that did not start in time says nothing about a claim
TRIES_OF_A_CELL: Final = 4
TRIES_UNEXPOSED: Final = 2
TRIES_LATE: Final = 2
LIMIT_S: Final = LONGEST_S  # for a recording beside its load


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

        A control that was not caught is played with the next seeds, because a fault may miss the moment; a cell in
        which a fault did not act at all once more, with the next seed. A strategy that was late, slow to come back or
        slow to give something back is played once more with the same seed: this machine may have been busy. If a rule
        is broken about time again, this one or another, the verdict is `late`. Every other violation counts at once.

        Args:
            cell: which one.
            seed: of the recording.
            expectation: what its contender claims about it.
        """
        began_s, earlier, late, unexposed = time.monotonic(), list[str](), 0, 0
        for _ in range(TRIES_OF_A_CELL):
            result = await self._try(cell, seed, expectation)
            unexposed += result.verdict == NOT_EXPOSED
            late += result.verdict == LATE
            if result.verdict == NOT_CAUGHT or (result.verdict == NOT_EXPOSED and unexposed < TRIES_UNEXPOSED):
                seed += 1
            elif result.verdict != LATE or late == TRIES_LATE:
                break
            earlier.append(_shown(result))
        before = f"before: {'; '.join(earlier)}" if earlier and result.verdict != NOT_CAUGHT else ""
        reason = "; ".join(each for each in (result.reason, before) if each)
        return replace(result, wall_s=time.monotonic() - began_s, reason=reason)

    async def _try(self, cell: Cell, seed: int, expectation: str) -> CellResult:
        recorded, errors = await self._record(cell, seed)
        if recorded is None:
            return CellResult(cell, seed, expectation, FAILED, reason="; then ".join(errors))
        history, violations = recorded
        found_exposure = exposures(history)
        missed = [f"{each.fault} {each.why_not}" for each in found_exposure if each.why_not]
        found = verdict(expectation, violations, exposed=not missed)
        reasons = [f"not exposed: {', '.join(missed)}"] if missed else []
        reasons += [f"not recorded at first: {each}" for each in errors]
        kept = ""
        if found in (*FAILURES, NOT_CAUGHT, NOT_EXPOSED):
            try:
                kept = self._keep(cell, history)
            # a full disk: the result is worth more than its history, and the ring goes on
            except (OSError, LabError) as error:
                reasons.append(f"its history was not kept: {error}")
        return CellResult(
            cell,
            seed,
            expectation,
            found,
            violations=_first_of_each_rule(violations),
            operations=Counter(each.type for each in history.operations),
            history=kept,
            reason="; ".join(reasons),
            exposure=tuple(found_exposure),
        )

    async def _record(self, cell: Cell, seed: int) -> tuple[Recorded | None, list[str]]:
        """The recording, None if there is none, and why tries of it failed."""
        errors, limit_s = list[str](), LIMIT_S + self.seconds
        for _ in range(TRIES):
            try:
                async with asyncio.timeout(limit_s):
                    # a task of its own: up to Python 3.12 a `TaskGroup` that fails leaves its task marked as cancelled
                    return await asyncio.create_task(self._play(cell, seed)), errors
            except TimeoutError:
                errors.append(f"not recorded within {limit_s:.0f} s")
            except Exception as error:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise asyncio.CancelledError from error  # the end of the ring, and an error on the way there
                errors.append(f"{type(error).__name__}: {error}")
        return None, errors

    async def _play(self, cell: Cell, seed: int) -> Recorded:
        return await self.player(cell, seed)

    def _keep(self, cell: Cell, history: History) -> str:
        self.histories.mkdir(parents=True, exist_ok=True)
        path = self.histories / f"{cell.id.replace(':', '-')}.{history.seed}.jsonl"
        write_history(history, path)
        return str(path)


def _first_of_each_rule(violations: Sequence[Violation]) -> tuple[Found, ...]:
    """What is kept with the result; the history has the rest."""
    first = {each.rule: Found(each.rule, each.detail) for each in reversed(violations)}
    return tuple(first[rule] for rule in dict.fromkeys(each.rule for each in violations))


def _shown(result: CellResult) -> str:
    """What an earlier try found, in a few words."""
    said = result.reason if result.verdict == NOT_EXPOSED else result.verdict
    (first, *_) = [f"{each.rule}: {each.detail}" for each in result.violations] or [said]
    return f"seed {result.seed}: {first}"
