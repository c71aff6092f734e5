"""A mutant: a seeded bug that a test switches on, and the rule that must catch it.

A checker that has never failed proves nothing. Each mutant is played in the simulator, seed after seed, until its rule
finds it; without the bug the same seeds must be clean. Neighbours: `strategies.py`, `log.py`, `relay.py`, `locks.py`
and `shop.py` have the mutants, `table.py` prints what was found.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from stockade.lab.checkers import judge
from stockade.lab.simulation.settings import Settings
from stockade.lab.simulation.simulation import Stalled, play

CALLS_END, NO_DEADLOCK = "calls-end", "no-deadlock"  # rules of the simulator itself, beside those of the checkers
SEEDS = 150  # a mutant that survives so many is not caught


@dataclass(frozen=True)
class Found:
    """How a mutant was caught.

    Attributes:
        seed: of the history that shows it.
        operations: how many were played until then, in all histories.
        detail: what the rule said.
    """

    seed: int
    operations: int
    detail: str


@dataclass(frozen=True)
class Mutant:
    """One bug.

    Attributes:
        name: in words.
        summary: what it does wrong, in one line.
        rule: that must catch it.
        settings: what is played.
        mutate: switches it on.
        control: what is played without it; None: the same.
    """

    name: str
    summary: str
    rule: str
    settings: Settings
    mutate: Callable[[pytest.MonkeyPatch], None] = lambda patch: None
    control: Settings | None = None

    def find(self) -> Found | None:
        """Play it until its rule finds it; None after `SEEDS` histories."""
        with pytest.MonkeyPatch.context() as patch:
            self.mutate(patch)
            operations = 0
            for seed in range(SEEDS):
                found, count = violations_of(seed, self.settings)
                operations += count
                if self.rule in found:
                    return Found(seed, operations, found[self.rule])
        return None

    def without(self, seeds: int) -> dict[int, dict[str, str]]:
        """What the same seeds, and a few more, show without the bug: nothing."""
        settings = self.control or self.settings
        found = {seed: violations_of(seed, settings)[0] for seed in range(seeds)}
        return {seed: broken for seed, broken in found.items() if broken}


def violations_of(seed: int, settings: Settings) -> tuple[dict[str, str], int]:
    """The rules that one history breaks, each with its first violation, and how many operations it has."""
    try:
        played = play(seed, settings)
    except Stalled as stalled:
        return {CALLS_END: str(stalled)}, settings.clients * settings.operations
    found: dict[str, str] = {}
    for violation in judge(played.history):
        found.setdefault(violation.rule, violation.detail)
    if played.server.deadlocks:
        found[NO_DEADLOCK] = f"{played.server.deadlocks} transactions waited for each other in a circle"
    return found, len(played.history.operations)


def settings(contender: str, storm: str = "calm", processes: int = 2, **changes) -> Settings:
    """The usual settings with changes."""
    return replace(Settings.named(contender, storm, processes), **changes)
