"""Mutants of the locks alone: the simulator of the locks plays them, the checkers of the lab judge its histories."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from stockade.lab.checkers import judge
from stockade.lab.history.final_state import Leftovers
from stockade.locks.engine.held_lock import HeldLock
from stockade.locks.engine.lock_request import Grant
from stockade.locks.engine.manager import LockManager
from stockade.locks.engine.renewal import Renewer
from stockade.locks.redis.backend import RedisBackend
from stockade.locks.testing.simulated_redis import SimRedis, Weather
from stockade.locks.testing.simulator import SimRuntime
from tests.lab.lock_recorder import LockRecorder
from tests.lab.mutants.mutant import CALLS_END, SEEDS, Found
from tests.locks.simulator.histories import Broken, Kind, Resource
from tests.locks.simulator.histories import History as Played

LOCK = "stockade:a"


@dataclass(frozen=True)
class LockMutant:
    """One bug of a lock; attributes as of `Mutant`.

    Attributes:
        kind: what is played.
        mutate: switches it on.
        server: makes the lock server that has it.
        guard: of the resource, see `Resource`. Behind a fence the resource would refuse what the lock let through.
        control: the guard of what is played without the bug.
    """

    name: str
    summary: str
    rule: str
    kind: Kind
    mutate: Callable[[pytest.MonkeyPatch], None] = lambda patch: None
    server: Callable[[], SimRedis] = SimRedis
    guard: str = "lease"
    control: str = "lease"

    def find(self) -> Found | None:
        """Play it until its rule finds it; None after `SEEDS` histories."""
        with pytest.MonkeyPatch.context() as patch:
            self.mutate(patch)
            operations = 0
            for seed in range(SEEDS):
                found, count = violations_of(seed, self.kind, self.guard, self.server())
                operations += count
                if self.rule in found:
                    return Found(seed, operations, found[self.rule])
        return None

    def without(self, seeds: int) -> dict[int, dict[str, str]]:
        """What the same seeds show without the bug: nothing."""
        found = {seed: violations_of(seed, self.kind, self.control)[0] for seed in range(seeds)}
        return {seed: broken for seed, broken in found.items() if broken}


def violations_of(
    seed: int, kind: Kind, guard: str = "lease", server: SimRedis | None = None
) -> tuple[dict[str, str], int]:
    """The rules that one history breaks, each with its first violation, and how many operations it has."""
    recorder = LockRecorder()
    played = Played(seed, kind, Resource(guard), server, recorder)
    try:
        played.play()
    except Broken as error:
        for task in played.tasks:  # who still waits is not left to the garbage collector
            task.cancel()
        played.sim.run(played.sim.now + 10.0)
        return {CALLS_END: str(error)}, len(recorder.operations)
    found: dict[str, str] = {}
    for violation in judge(recorder.history(played.sim.now, leftovers(played))):
        found.setdefault(violation.rule, violation.detail)
    return found, len(recorder.operations)


def leftovers(played: Played) -> Leftovers:
    """The lock if it is held, and who stands in line for it; in line may be whose withdrawal was lost."""
    server = played.network.server
    server.now_ms = played.sim.now * 1000
    waiters = len(server.queues.get(LOCK, ())) if played.strict else 0
    return Leftovers(
        before={"waiters": 0}, after={"waiters": waiters}, keys_not_free=(LOCK,) if server.owner(LOCK) else ()
    )


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


def timeout_as_grant(patch):
    """Whoever waits in vain goes in all the same, as with an ignored result of `tryLock`."""
    acquire, tokens = RedisBackend.acquire, itertools.count(10**15)

    async def always(self, request_of, deadline):
        granted = await acquire(self, request_of, deadline)
        return granted or Grant(next(tokens), self._runtime.now() + request_of.spec.lease_s)

    patch.setattr(RedisBackend, "acquire", always)


def waits_without_an_end(patch):
    """The loop of a waiter has no bound."""
    acquire = RedisBackend.acquire
    patch.setattr(RedisBackend, "acquire", lambda self, request, deadline: acquire(self, request, math.inf))


class Endless(SimRedis):
    """A server on which a lock has no lifetime."""

    def owner(self, key):
        """Who took it, for ever."""
        return self.owners.get(key, ("", 0.0))[0]


MUTANTS = (
    LockMutant(
        "bare lock under a pause",
        "nothing but the lock protects the resource, and its holder is paused for longer than its lease",
        "mutual-exclusion",
        Kind(pauses=True),
        guard="none",
        control="install",
    ),
    LockMutant(
        "time-out taken for a grant",
        "a client that did not get the lock in time goes in all the same",
        "linearizable",
        Kind(),
        timeout_as_grant,
    ),
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
        "linearizable",
        Kind(pauses=True, weather=Weather(latency_s=0.1), clients=4, hold_s=1.2),
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
        "wait without an end",
        "who waits for a lock does so until it comes",
        CALLS_END,
        Kind(hold_s=1.2),
        waits_without_an_end,
    ),
    LockMutant(
        "lock without a lifetime",
        "a lock ends only by a release, and that is lost",
        "nothing-left",
        Kind(weather=Weather(lose_request=0.3)),
        server=Endless,
    ),
    LockMutant(
        "owner ids that are not unique",
        "two clients are one owner to the server",
        "mutual-exclusion",
        Kind(),
        lambda patch: patch.setattr(SimRuntime, "new_id", lambda self: "same.1"),
    ),
)
