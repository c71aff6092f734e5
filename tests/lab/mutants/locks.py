"""Mutants of the locks alone, played in the simulator of the locks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pytest

from stockade.locks.engine.held_lock import HeldLock
from stockade.locks.engine.manager import LockManager
from stockade.locks.engine.renewal import Renewer
from stockade.locks.redis.backend import RedisBackend
from stockade.locks.testing.simulated_redis import SimRedis, Weather
from stockade.locks.testing.simulator import SimRuntime
from tests.lab.mutants.mutant import SEEDS, Found
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
    """One bug of a lock; attributes as of `Mutant`.

    Attributes:
        kind: what is played.
        mutate: switches it on.
        server: makes the lock server that has it.
    """

    name: str
    summary: str
    rule: str
    kind: Kind
    mutate: Callable[[pytest.MonkeyPatch], None] = lambda patch: None
    server: Callable[[], SimRedis] = SimRedis

    def find(self) -> Found | None:
        """Play it until its rule finds it; None after `SEEDS` histories."""
        with pytest.MonkeyPatch.context() as patch:
            self.mutate(patch)
            for seed in range(SEEDS):
                text = broken(seed, self.kind, self.server())
                if text and rule_of(text) == self.rule:
                    return Found(seed, (seed + 1) * self.kind.clients * self.kind.turns, text)
        return None

    def without(self, seeds: int) -> dict[int, str]:
        """What the same seeds show without the bug: nothing."""
        found = {seed: broken(seed, self.kind) for seed in range(seeds)}
        return {seed: text for seed, text in found.items() if text}


def broken(seed: int, kind: Kind, server: SimRedis | None = None) -> str:
    """What a history breaks; empty if nothing."""
    history = History(seed, kind, server=server)
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


def counted_from_the_answer(patch):
    """A lease begins when the answer comes, not before the question."""
    hold = LockManager._hold

    def late(self, ask, granted, me):
        return hold(self, ask, replace(granted, valid_until=self.runtime.now() + ask.spec.lease_s), me)

    patch.setattr(LockManager, "_hold", late)


def not_withdrawn(patch):
    """A cancelled acquire is not withdrawn."""

    async def nothing(self, ask):
        return None

    patch.setattr(RedisBackend, "_withdraw", nothing)


def owner_forgotten(patch):
    """A release no longer knows its owner."""
    release = RedisBackend.release
    patch.setattr(RedisBackend, "release", lambda self, ask: release(self, replace(ask, owner_id="gone.1")))


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
    LockMutant(
        "delete without owner check",
        "a release frees whatever is held",
        "mutual-exclusion",
        Kind(pauses=True),
        server=lambda: SimRedis(checks_owner=False),
    ),
    LockMutant(
        "owner cleared before the release was answered",
        "a release no longer knows its owner",
        "nothing-left",
        Kind(),
        owner_forgotten,
    ),
    LockMutant(
        "expiry not noticed",
        "a holder does not look at the clock",
        "mutual-exclusion",
        Kind(pauses=True),
        lambda patch: patch.setattr(HeldLock, "lost", property(lambda lease: bool(lease.lost_reason))),
    ),
    LockMutant(
        "lease counted from the answer",
        "the lease begins when the answer comes, not before the question",
        "mutual-exclusion",
        Kind(pauses=True, weather=Weather(latency_s=0.2, lose_notice=0.3), clients=4),
        counted_from_the_answer,
    ),
    LockMutant(
        "cancelled without withdrawal",
        "a cancelled acquire is not withdrawn",
        "nothing-left",
        Kind(cancel=True),
        not_withdrawn,
    ),
    LockMutant(
        "owner ids that are not unique",
        "two clients are one owner to the server",
        "mutual-exclusion",
        Kind(),
        lambda patch: patch.setattr(SimRuntime, "new_id", lambda self: "same.1"),
    ),
)
