"""The quorum in the simulator: lost calls, silent servers, cancellation at every await; releases are repeated.

Neighbours: `test_simulator.py` (one server), `redis/test_quorum_release_retry.py` (real servers that are paused).
"""

import itertools

import pytest

from stockade.locks.async_api import Lease
from stockade.locks.engine import release_retry
from stockade.locks.engine.lock_request import LockRequest, Spec
from stockade.locks.engine.manager import LockManager
from stockade.locks.engine.release_retry import ReleaseRetry
from stockade.locks.errors import LockError, LockUnavailable
from stockade.locks.redis.providers import _in_turn
from stockade.locks.redis.quorum import QuorumBackend
from stockade.locks.redis.tuning import RedisTuning
from stockade.locks.testing.simulated_redis import SimNetwork, SimRedis, SimTransport, Weather
from stockade.locks.testing.simulator import Sim, SimProcess, SimRuntime
from tests.locks.simulator.histories import spend

LEASE_S = 30.0  # nothing runs out while we look
TUNING = RedisTuning(call_s=0.05, spin_s=0.01)


class World:
    """Three servers, and clients that each take one lock twice and count who believes to hold it."""

    def __init__(self, seed, weather, clients=3, cancel_turn=-1):
        self.sim = Sim(seed)
        self.networks = [SimNetwork(SimRedis(), weather) for _ in range(3)]
        self.inside = self.most_inside = self.granted = 0
        self.tasks, self.jobs = [], []
        for number in range(clients):
            runtime = SimRuntime(self.sim, SimProcess(f"p{number}"))
            runtime.spawn = lambda work, name, spawn=runtime.spawn: self.note(name, spawn(work, name))
            servers = [SimTransport(runtime, network) for network in self.networks]
            manager = LockManager(runtime, QuorumBackend(runtime, servers, TUNING, _in_turn), Lease)
            self.tasks.append(self.sim.start(runtime.home, self.client(manager, runtime)))
        self.tasks[0].cancel_at = cancel_turn

    def note(self, name, job):
        if name == "stockade-lock-release-retry":
            self.jobs.append(job)
        return job

    async def client(self, manager, runtime):
        for _ in range(2):
            await spend(runtime, self.sim.rng.random() * 0.02)
            try:
                lease = await manager.acquire(Spec("a", lease_s=LEASE_S, on_lost="raise"), 2.0)
            except LockError:
                continue
            if lease is None:
                continue
            error = None
            try:
                self.granted += 1
                self.inside += 1
                self.most_inside = max(self.most_inside, self.inside)
                await spend(runtime, self.sim.rng.random() * 0.02)
            except BaseException as trouble:
                error = trouble
                raise
            finally:
                self.inside -= 1
                await manager.releaser.exit(lease, error)

    def run(self):
        """Play it; who is left on the servers long before a lease ends."""
        self.sim.run(15.0)
        for task in self.tasks:
            assert task.done
            assert not isinstance(task.error, Exception), task.error
        assert self.most_inside <= 1
        return [network.server.owners for network in self.networks if network.server.owners]


LOST = Weather(lose_request=0.1, lose_reply=0.15)


def test_nothing_is_left_behind_by_lost_calls():
    """300 histories, a quarter of the calls stays without an answer: no two inside, no key stays, no job runs."""
    granted = jobs = 0
    for seed in range(300):
        world = World(seed, LOST)
        assert world.run() == [], f"seed {seed}"
        assert all(job.done for job in world.jobs), f"seed {seed}"
        granted += world.granted
        jobs += len(world.jobs)
    assert granted > 300
    assert jobs > 100


def test_cancelled_at_every_await_nothing_is_left_behind():
    """One client is cancelled at its 1st, 2nd, … 40th suspension, with calls lost and without."""
    cancelled = 0
    for weather in (Weather(), LOST):
        for turn in range(40):
            for seed in range(8):
                world = World(seed, weather, cancel_turn=turn)
                assert world.run() == [], f"seed {seed}, turn {turn}"
                cancelled += world.tasks[0].error is not None
    assert cancelled > 200


def test_mutant_that_owes_nothing_leaves_keys(monkeypatch):
    """The control: released only once, some servers keep keys without an owner."""
    monkeypatch.setattr(ReleaseRetry, "retry", lambda self, request_of, silent, until: None)
    assert any(World(seed, LOST).run() for seed in range(50))


class Shop:
    """Servers that are only names, and the releases they received, with times; those in `silent` do not answer."""

    def __init__(self):
        self.sim = Sim(1)
        self.runtime = SimRuntime(self.sim, SimProcess("p"))
        self.silent, self.asked = {"A"}, []
        self.retries = ReleaseRetry(self.runtime, self.pay, _in_turn)

    async def pay(self, server, request_of, timeout_s):
        self.asked.append((server, request_of.owner_id, round(self.sim.now, 3)))
        await spend(self.runtime, 0.01)
        if server in self.silent:
            raise LockUnavailable("no answer")

    def owe(self, owner, servers, lease_s):
        self.retries.retry(LockRequest(Spec("a"), owner), servers, self.sim.now + lease_s)

    def run(self, until):
        self.sim.run(until)
        return self.asked

    def start(self, work):
        return self.sim.start(self.runtime.home, work)


def test_a_silent_server_is_asked_for_one_debt_in_growing_pauses():
    """Of many debts one is asked for in each round, each in turn; pauses double to a second; the job ends with the
    leases.
    """
    shop = Shop()
    for number in range(20):
        shop.owe(f"p.{number}", ["A"], 5.0)
    asked = shop.run(60.0)
    assert [owner for _, owner, _ in asked] == [f"p.{number}" for number in range(len(asked))]
    times = [at for _, _, at in asked]
    gaps = [round(after - before, 2) for before, after in itertools.pairwise(times)]
    assert gaps[:6] == [0.11, 0.21, 0.41, 0.81, 1.01, 1.01]
    assert times[-1] < 5.0
    assert not shop.retries._job.running
    assert not shop.retries.busy


def test_a_server_that_answers_again_is_paid_at_once_and_the_other_keeps_its_own():
    """B gets its releases in the first round; A all of them in the round after it came back; then the job ends."""
    shop = Shop()
    for number in range(20):
        shop.owe(f"p.{number}", ["A", "B"], 30.0)
    shop.run(0.5)
    assert {owner for server, owner, _ in shop.asked if server == "B"} == {f"p.{number}" for number in range(20)}
    shop.silent.clear()
    shop.run(3.0)
    assert {owner for server, owner, _ in shop.asked if server == "A"} == {f"p.{number}" for number in range(20)}
    assert not shop.retries._job.running
    shop.owe("p.99", ["B"], 30.0)
    assert shop.run(4.0)[-1][:2] == ("B", "p.99")


def test_what_is_forgotten_is_not_asked_for():
    """An owner that asks anew is owed nothing; a release on its way is waited for, one that is not costs nothing."""
    shop = Shop()
    shop.owe("p.1", ["A"], 30.0)
    shop.owe("p.2", ["A"], 30.0)
    shop.run(0.055)
    assert shop.asked == [("A", "p.1", 0.05)]
    waits, free = shop.start(shop.retries.cancel("p.1", 1.0)), shop.start(shop.retries.cancel("p.3", 1.0))
    shop.run(0.058)
    assert (waits.done, free.done) == (False, True)
    shop.run(0.07)
    assert waits.done
    shop.silent.clear()
    assert {owner for _, owner, at in shop.run(9.0) if at > 0.06} == {"p.2"}


def test_no_more_than_so_many_are_remembered(monkeypatch):
    """Beyond the bound the oldest is left to the end of its lease."""
    monkeypatch.setattr(release_retry, "_MOST", 3)
    shop = Shop()
    shop.silent.clear()
    for number in range(5):
        shop.owe(f"p.{number}", ["A"], 30.0)
    assert [owner for _, owner, _ in shop.run(1.0)] == ["p.2", "p.3", "p.4"]


@pytest.mark.parametrize("before_s", [0.03, 0.055])
def test_close_asks_once_more(before_s):
    """Closed while the job pauses, or while it asks: one more round, then nothing."""
    shop = Shop()
    shop.owe("p.1", ["A"], 30.0)
    shop.run(before_s)
    shop.silent.clear() if before_s < 0.05 else None
    closing = shop.start(shop.retries.close(1.0))
    shop.run(before_s + 0.03)
    assert closing.done
    shop.owe("p.2", ["A"], 30.0)
    asked = shop.run(60.0)
    assert [owner for _, owner, _ in asked] == ["p.1"] * (1 if before_s < 0.05 else 2)
    assert not shop.retries._job.running


def test_a_refusal_is_an_answer(caplog):
    """What a server refuses is not repeated, and is logged."""
    shop = Shop()
    shop.silent.clear()

    async def refuse(server, request_of, timeout_s):
        shop.asked.append(server)
        raise LockError("WRONGTYPE")

    shop.retries._release = refuse
    shop.owe("p.1", ["A"], 30.0)
    assert shop.run(60.0) == ["A"]
    assert "WRONGTYPE" in caplog.text


def test_an_owner_that_asks_again_keeps_its_new_grant(monkeypatch):
    """A caller's own token, used a second time after a request that a silent server did not answer: nothing takes the
    new grant away. The control, which forgets nothing, loses it.
    """

    def held(forget):
        sim, networks = Sim(3), [SimNetwork(SimRedis(), Weather()) for _ in range(3)]
        runtime = SimRuntime(sim, SimProcess("p"))
        servers = [SimTransport(runtime, network) for network in networks]
        manager = LockManager(runtime, QuorumBackend(runtime, servers, TUNING, _in_turn), Lease)
        if not forget:
            monkeypatch.setattr(ReleaseRetry, "cancel", lambda self, owner, timeout_s: runtime.sleep(0))
        silent, networks[0].weather = Weather(lose_request=1.0), Weather()
        networks[1].weather = networks[2].weather = silent
        spec = Spec("a", lease_s=LEASE_S)
        first = sim.start(runtime.home, manager.acquire(spec, 0.0, owner_word="job-7"))
        while not first.done or manager.runtime._unfinished:
            sim.run(sim.now + 0.001)
        assert isinstance(first.error, LockUnavailable)
        for network in networks:
            network.weather = Weather()
        second = sim.start(runtime.home, manager.acquire(spec, 0.0, owner_word="job-7"))
        sim.run(sim.now + 3.0)
        assert second.result is not None
        return sum(network.server.owner("stockade:a") == "p.job-7" for network in networks)

    assert held(forget=True) == 3
    assert held(forget=False) == 1
