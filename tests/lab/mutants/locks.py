"""Mutants of the locks alone, played in the simulator of the locks; and those that a test there plants already."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from stockade.locks.engine.renewal import Renewer
from stockade.locks.testing.simulated_redis import SimRedis, Weather
from stockade.locks.testing.simulator import SimRuntime
from tests.lab.mutants.mutant import SEEDS, Found, Tested
from tests.locks.simulator.histories import Broken, History, Kind

RULES: Mapping[str, str] = {  # what a broken history says: the rule
    "believed to hold": "mutual-exclusion",
    "acknowledged": "version-chain",
    "still held": "nothing-left",
    "still in line": "nothing-left",
    "never came back": "calls-end",
}


@dataclass(frozen=True)
class LockMutant:
    """One bug of a lock; attributes as of `Mutant`, and `kind` says what is played."""

    name: str
    summary: str
    rule: str
    kind: Kind
    mutate: Callable[[pytest.MonkeyPatch], None]

    def find(self) -> Found | None:
        """Play it until its rule finds it; None after `SEEDS` histories."""
        with pytest.MonkeyPatch.context() as patch:
            self.mutate(patch)
            for seed in range(SEEDS):
                text = broken(seed, self.kind)
                if text and rule_of(text) == self.rule:
                    return Found(seed, (seed + 1) * self.kind.clients * self.kind.turns, text)
        return None

    def without(self, seeds: int) -> dict[int, str]:
        """What the same seeds show without the bug: nothing."""
        found = {seed: broken(seed, self.kind) for seed in range(seeds)}
        return {seed: text for seed, text in found.items() if text}


def broken(seed: int, kind: Kind) -> str:
    """What a history breaks; empty if nothing."""
    history = History(seed, kind)
    try:
        history.run()
    except Broken as error:
        for task in history.tasks:  # who still waits is not left to the garbage collector
            task.cancel()
        history.sim.run(history.sim.now + 10.0)
        return str(error)
    return ""


def rule_of(text: str) -> str:
    """The rule behind the message of a broken history."""
    return next(rule for words, rule in RULES.items() if words in text)


def wall_clock(patch):
    """Leases end by a clock that is set back by three seconds on one host."""
    patch.setattr(
        SimRuntime, "now", lambda self: self.sim.now - (3.0 if self._home.name == "p0" and self.sim.now > 0.02 else 0.0)
    )


def renewal_goes_on(patch):
    """The release does not end the renewal, and the renewal takes the lock anew."""
    patch.setattr(Renewer, "remove", lambda self, lease: None)

    def take_anew(self, key, owner, lease_ms):
        self.owners[key] = (owner, self.now_ms + lease_ms)
        return 1

    patch.setattr(SimRedis, "_renew", take_anew)


SIMULATOR = "tests/locks/simulator/test_simulator.py"
MUTANTS = (
    LockMutant(
        "wall clock for expiry",
        "the end of a lease is read from a clock that is set back",
        "mutual-exclusion",
        Kind(pauses=True, clients=4),
        wall_clock,
    ),
    LockMutant(
        "renewal that outlives the release",
        "a lease is renewed after its release was sent",
        "nothing-left",
        Kind(weather=Weather(lose_reply=0.05)),
        renewal_goes_on,
    ),
)
TESTED = (
    Tested(
        "delete without owner check",
        "a release frees whatever is held",
        "mutual-exclusion",
        f"{SIMULATOR}::test_mutant_release_without_owner_check",
    ),
    Tested(
        "owner cleared before the release was answered",
        "a release no longer knows its owner",
        "nothing-left",
        f"{SIMULATOR}::test_mutant_owner_forgotten_before_release",
    ),
    Tested(
        "expiry not noticed",
        "a holder does not look at the clock",
        "mutual-exclusion",
        f"{SIMULATOR}::test_mutant_expiry_is_not_noticed",
    ),
    Tested(
        "lease counted from the answer",
        "the lease begins when the answer comes, not before the question",
        "mutual-exclusion",
        f"{SIMULATOR}::test_mutant_lease_counted_from_the_answer",
    ),
    Tested(
        "cancelled without withdrawal",
        "a cancelled acquire is not withdrawn",
        "nothing-left",
        f"{SIMULATOR}::test_mutant_cancelled_without_withdrawal",
    ),
    Tested(
        "owner ids that are not unique",
        "two clients are one owner to the server",
        "mutual-exclusion",
        f"{SIMULATOR}::test_mutant_owner_ids_that_are_not_unique",
    ),
)
