"""More than 10,000 seeded histories of the production code in the simulator, and mutants that they must catch."""

import contextlib
import random
from dataclasses import replace

import pytest
import redis

from stockade.locks.engine.held_lock import HeldLock
from stockade.locks.engine.manager import LockManager
from stockade.locks.redis.backend import RedisBackend
from stockade.locks.redis.script import script
from stockade.locks.redis.tuning import RedisTuning
from stockade.locks.testing.simulated_redis import SimRedis, Weather
from stockade.locks.testing.simulator import SimRuntime
from tests.locks.simulator import histories
from tests.locks.simulator.histories import LEASE_S, Broken, History, Kind, Resource

KINDS = {
    "calm": Kind(),
    "pauses": Kind(pauses=True),
    "cancel": Kind(cancel=True),
    "lost calls": Kind(weather=Weather(lose_request=0.03, lose_reply=0.05, lose_notice=0.2)),
    "lost notices": Kind(weather=Weather(lose_notice=1.0), limits_s=(6.0,)),
    "failover": Kind(failover=True),
    "expiry": Kind(expire_all=True),
    "everything": Kind(True, True, failover=True, expire_all=True, weather=Weather(0.02, 0.02, 0.1), clients=4),
}
KINDS["shared processes"] = Kind(clients=6, processes=2, hold_s=0.9, limits_s=(9.0,))
KINDS["pauses and lost calls"] = Kind(pauses=True, weather=Weather(0.05, 0.1, 0.2), hold_s=0.9)
SEEDS = 1050


@pytest.mark.parametrize("kind", KINDS)
def test_histories(kind):
    """More than a thousand histories of each kind, all invariants; the seed of a broken one is in the message."""
    added = 0
    for seed in range(SEEDS):
        try:
            history = History(seed, KINDS[kind]).run()
        except Exception as error:
            error.add_note(f"seed {seed} of {kind!r}")
            raise
        added += history.added
    assert added > SEEDS  # the histories do something


def test_cancellation_at_every_await():
    """One client is cancelled at its 1st, 2nd, … 60th suspension in 30 histories each: nothing stays behind."""
    cancelled = 0
    for turn in range(60):
        for seed in range(30):
            history = History(seed, Kind(cancel_turn=turn)).run()
            cancelled += history.tasks[0].error is not None
    assert cancelled > 200


def test_lost_notices_cost_no_turn():
    """With every notice lost, every client still gets every turn within its limit, by polling."""
    for seed in range(100):
        assert History(seed, KINDS["lost notices"]).run().added == 6


def test_a_long_wait_in_a_shared_process_gets_a_whole_lease():
    """Waiters behind others of their process, longer than a lease: whoever is granted still gets his work done."""
    added = sum(History(seed, KINDS["shared processes"]).run().added for seed in range(50))
    assert added >= 50 * 12 * 0.95


def test_more_than_ten_thousand_histories():
    """What one run of this file plays, apart from the mutants and the cancellations at every await."""
    assert len(KINDS) * SEEDS >= 10_000


def test_same_seed_same_history():
    """A seed replays its history to the last figure."""
    first, second = (History(77, KINDS["everything"]).run() for _ in range(2))
    assert (first.added, first.sim.now, first.resource.token) == (second.added, second.sim.now, second.resource.token)


def broken(kind, seeds=600, **parts):
    """Whether some seed breaks an invariant. Any other error is raised: a mistake of the mutant shows nothing."""
    for seed in range(seeds):
        history = History(seed, kind, **{name: make() for name, make in parts.items()})
        try:
            history.run()
        except Exception as error:
            for task in history.tasks:  # who still waits is not left to the garbage collector
                task.cancel()
            history.sim._max_steps = 20_000
            with contextlib.suppress(Exception):
                history.sim.run(history.sim.now + 10.0)
            if not isinstance(error, Broken):
                raise
            return True
    return False


def test_a_mutant_that_uses_an_old_name_proves_nothing(monkeypatch):
    """Its AttributeError fails the test, and does not count as a bug that was caught."""
    monkeypatch.setattr(RedisBackend, "release", lambda self, ask: self.old_name(ask))
    with pytest.raises(AttributeError, match="old_name"):
        broken(KINDS["calm"])


@pytest.mark.parametrize("guard", ["none", "write"])
def test_mutant_without_a_fence_before_the_read(guard):
    """A resource that compares tokens not at all, or only when writing, loses additions under pauses (Kleppmann)."""
    assert broken(Kind(pauses=True, clients=4), resource=lambda: Resource(guard))


def test_mutant_release_without_owner_check():
    """A release that frees whatever is held lets two in."""
    assert broken(KINDS["pauses"], server=lambda: SimRedis(checks_owner=False))


def test_mutant_repeat_that_does_not_renew():
    """A waiter whose notice was lost gets "already yours" and would count a lease that began before."""
    weather = Weather(lose_notice=1.0)
    kind = Kind(weather=weather, hold_s=1.2, clients=4, limits_s=(6.0,))
    assert broken(kind, server=lambda: SimRedis(renews_on_repeat=False))
    assert not broken(kind)


def test_mutant_lease_counted_from_the_answer(monkeypatch):
    """A lease counted from the answer, not from before the question, lets two believe."""
    hold = LockManager._hold

    def late(self, ask, granted, me):
        return hold(self, ask, replace(granted, valid_until=self.runtime.now() + ask.spec.lease_s), me)

    monkeypatch.setattr(LockManager, "_hold", late)
    weather = Weather(latency_s=0.2, lose_notice=0.3)
    assert broken(Kind(pauses=True, weather=weather, clients=4), seeds=3000)


def test_mutant_expiry_is_not_noticed(monkeypatch):
    """A holder that does not look at the clock believes to hold after its lease."""
    monkeypatch.setattr(HeldLock, "lost", property(lambda lease: bool(lease.lost_reason)))
    assert broken(KINDS["pauses"])


def test_mutant_cancelled_without_withdrawal(monkeypatch):
    """An acquire that is cancelled and not withdrawn leaves the lock held."""

    async def nothing(self, ask):
        return None

    monkeypatch.setattr(RedisBackend, "_withdraw", nothing)
    assert broken(KINDS["cancel"])


def test_mutant_owner_forgotten_before_release(monkeypatch):
    """A release that no longer knows its owner leaves the lock held."""
    release = RedisBackend.release
    monkeypatch.setattr(RedisBackend, "release", lambda self, ask: release(self, replace(ask, owner_id="gone.1")))
    assert broken(KINDS["calm"])


def test_mutant_owner_ids_that_are_not_unique(monkeypatch):
    """Two clients with one owner id are one owner to the server."""
    monkeypatch.setattr(SimRuntime, "new_id", lambda self: "same.1")
    assert broken(KINDS["calm"])


def test_mutant_acquire_that_is_not_safe_to_repeat(monkeypatch):
    """A repeated request that is in the queue twice is granted after its caller has gone."""
    acquire = SimRedis._acquire

    def twice(self, key, args):
        return acquire(self, key, [*args[:7], "0", *args[8:]])

    monkeypatch.setattr(SimRedis, "_acquire", twice)
    assert broken(Kind(weather=Weather(lose_notice=0.5), clients=4))


def test_mutant_without_poll(monkeypatch):
    """Without the poll a lost notice costs the whole wait."""
    monkeypatch.setattr(histories, "TUNING", RedisTuning(poll_s=1000.0, call_s=0.25, patience_s=0.8))
    kind = Kind(weather=Weather(lose_notice=1.0), limits_s=(0.4,))
    assert min(History(seed, kind).run().added for seed in range(50)) < 6


@pytest.mark.redis
def test_the_model_answers_as_the_scripts_do(redis_url):
    """2,000 random calls to the simulator's server and to a real one: the same answers, owner and line."""
    rng = random.Random(5)
    model = SimRedis()
    scripts = {name: script("mutex_common", name) for name in ("mutex_acquire", "mutex_release")}
    scripts |= {name: script(name) for name in ("mutex_renew", "raise_fence")}
    with redis.Redis.from_url(redis_url, decode_responses=True) as server:
        tokens = {}
        for _ in range(2000):
            name = rng.choice(("mutex_acquire", "mutex_acquire", "mutex_release", "mutex_renew", "raise_fence"))
            owner = f"{rng.randrange(3):016x}.{rng.randrange(4)}"
            if name == "raise_fence":
                keys, args = ["{a}:f"], ["1", "600000"]  # below all tokens: theirs are microseconds, ours are not
            elif name == "mutex_renew":
                keys, args = ["a", "{a}:m", "{a}:f"], ["600000", owner, "600000"]
            else:
                keys, args = ["a", "{a}:q", "{a}:f", "{a}:m"], [owner, "600000", "", "n:", "{a}:a:", "600000"]
                flags = ["1", "1", "900000", "60000"] if rng.random() < 0.7 else ["0", "0", "0", "60000"]
                args += flags if name == "mutex_acquire" else [str(rng.randrange(2)), str(int(rng.random() < 0.05))]
            ours = model.run(scripts[name].sha, keys, args)
            theirs = server.eval(scripts[name].text, len(keys), *keys, *args)
            if name == "mutex_acquire" and ours > 0:
                assert tokens.setdefault(ours, theirs) == theirs > 0
            elif name == "mutex_acquire":
                assert theirs == 0 if ours == 0 else -1000 * LEASE_S * 600 <= theirs < 0
            else:
                assert ours == theirs
            assert model.owner("a") == (server.get("a") or "")
            line = [entry.split(" ")[0] for entry in server.lrange("{a}:q", 0, -1)]
            assert [waiter for waiter, _ in model.queues.get("a", [])] == line
