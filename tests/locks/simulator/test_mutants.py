"""The known bugs of lock libraries, built into ours one at a time: each must be caught, else the tests prove nothing.

`BUGS` maps each to the test that shows it caught: here, in the simulator's tests or against real servers.
"""

import asyncio
import importlib
import itertools
import math
import operator

import pytest

from stockade.locks import LockUnavailable, aio, provider_base
from stockade.locks.async_api import Lease
from stockade.locks.engine.lock_request import Grant, Spec
from stockade.locks.engine.manager import LockManager
from stockade.locks.engine.renewal import Renewer
from stockade.locks.redis.backend import RedisBackend
from stockade.locks.redis.script import script
from stockade.locks.testing.simulated_redis import SimNetwork, SimRedis, SimTransport, Weather
from stockade.locks.testing.simulator import Sim, SimProcess, SimRuntime
from tests.locks.simulator.histories import TUNING, History, Kind
from tests.locks.simulator.test_simulator import KINDS, broken


class Always(dict):
    """Every process has shown itself."""

    def get(self, key, default=None):
        return math.inf


MODULES = {
    "": "simulator.test_mutants",
    "cancellation": "faults.test_cancellation",
    "contract": "contract.test_contract",
    "quorum": "simulator.test_simulated_quorum",
    "simulator": "simulator.test_simulator",
}
BUGS = {
    "no lock at all": "contract.TestEveryProvider.test_lost_update_needs_the_lock",
    "release without a look at the owner": "simulator.test_mutant_release_without_owner_check",
    "owner forgotten before the release was answered": "simulator.test_mutant_owner_forgotten_before_release",
    "owner ids that two share": "simulator.test_mutant_owner_ids_that_are_not_unique",
    "fencing token compared only when writing, or never": "simulator.test_mutant_without_a_fence_before_the_read",
    "lease counted from the answer": "simulator.test_mutant_lease_counted_from_the_answer",
    "the end of the lease goes unnoticed": "simulator.test_mutant_expiry_is_not_noticed",
    "a repeated acquire that stands in line twice": "simulator.test_mutant_acquire_that_is_not_safe_to_repeat",
    "already yours, with the old lease": "simulator.test_mutant_repeat_that_does_not_renew",
    "a lost notice waits for the lease": "simulator.test_mutant_without_poll",
    "cancelled and not withdrawn, simulated": "simulator.test_mutant_cancelled_without_withdrawal",
    "cancelled and not withdrawn, real servers": "cancellation.test_mutant_that_does_not_withdraw_is_caught",
    "out of time and still in line": "cancellation.test_mutant_that_times_out_without_withdrawing_is_caught",
    "wall clock for the end of the lease": "test_mutant_wall_clock_for_the_end_of_the_lease",
    "a timeout taken for a grant": "test_mutant_a_timeout_taken_for_a_grant",
    "an unreachable server taken for a grant": "test_mutant_an_unreachable_server_taken_for_a_grant",
    "a renewal that takes a lost lock anew": "test_mutant_a_renewal_that_takes_anew",
    "a renewal that outlives the release": "test_mutant_a_renewal_that_outlives_the_release",
    "a renewal that ends at its first error": "test_mutant_a_renewal_that_ends_at_its_first_error",
    "several locks in the caller's order": "test_mutant_several_locks_in_the_callers_order",
    "tokens that begin anew after a loss": "test_mutant_tokens_that_begin_anew",
    "a silent server is not asked again": "quorum.test_mutant_that_owes_nothing_leaves_keys",
    "waiters of dead processes are made owner": "test_mutant_the_dead_are_made_owner",
}


@pytest.mark.parametrize("bug", BUGS)
def test_every_bug_has_its_test(bug):
    """The table names tests that exist."""
    module, _, name = BUGS[bug].rpartition(".") if "." not in BUGS[bug] else BUGS[bug].partition(".")
    assert callable(operator.attrgetter(name)(importlib.import_module(f"tests.locks.{MODULES[module]}")))


def test_mutant_wall_clock_for_the_end_of_the_lease(monkeypatch):
    """A clock that is set back in one process: its holder believes in a lease that has ended."""
    monkeypatch.setattr(
        SimRuntime, "now", lambda self: self.sim.now - (1.5 if self.process() == "p0" and self.sim.now > 0.03 else 0)
    )
    assert broken(Kind(pauses=True, clients=4), seeds=3000)


def test_mutant_a_timeout_taken_for_a_grant(monkeypatch):
    """Whoever waits in vain goes in all the same, as with an ignored result of `tryLock`."""
    acquire, tokens = RedisBackend.acquire, itertools.count(10**15)

    async def always(self, request_of, deadline):
        granted = await acquire(self, request_of, deadline)
        return granted or Grant(next(tokens), self._runtime.now() + request_of.spec.lease_s)

    monkeypatch.setattr(RedisBackend, "acquire", always)
    assert broken(KINDS["calm"])


def test_mutant_an_unreachable_server_taken_for_a_grant(monkeypatch):
    """A call without an answer counts as success (sibson/redbeat#208)."""
    call, tokens = SimTransport.call, itertools.count(10**15)
    acquire = script("mutex_common", "mutex_acquire").sha

    async def hopeful(self, *parts, timeout_s):
        try:
            return await call(self, *parts, timeout_s=timeout_s)
        except LockUnavailable:
            if parts[1] != acquire:
                raise
            return next(tokens)

    monkeypatch.setattr(SimTransport, "call", hopeful)
    assert broken(KINDS["lost calls"])


def resurrect(self, key, owner, lease_ms):
    """A renewal that sets the key whoever has it by now (redsync, grelmicro, aioredlock)."""
    self.owners[key] = (owner, self.now_ms + lease_ms)
    return 1


def played(kind, what, seeds=150):
    """The sum of a figure over many histories."""
    return sum(getattr(History(seed, kind).run(), what) for seed in range(seeds))


def test_mutant_a_renewal_that_takes_anew(monkeypatch):
    """After the server forgot a holder, ours learns it at a renewal; the mutant never, and stays in with another."""
    kind = Kind(expire_all=True, hold_s=2.5, limits_s=(9.0,))
    ours = played(kind, "double_belief")
    monkeypatch.setattr(SimRedis, "_renew", resurrect)
    assert played(kind, "double_belief") > 1.5 * ours


def test_mutant_a_renewal_that_outlives_the_release(monkeypatch):
    """A renewal that no release ends, and that takes anew, keeps the lock held for ever (redisson#2714, #4368)."""
    kind, kept, add = Kind(hold_s=0.9, limits_s=(9.0,)), [], Renewer.add
    assert not broken(kind, seeds=50)

    def add_for_ever(self, lease):
        kept.append(lease)
        add(self, lease)

    monkeypatch.setattr(Renewer, "add", add_for_ever)
    monkeypatch.setattr(Renewer, "remove", lambda self, lease: None)
    monkeypatch.setattr(SimRedis, "_renew", resurrect)
    assert broken(kind)


def test_mutant_a_renewal_that_ends_at_its_first_error(monkeypatch):
    """A renewal that gives up after one lost call loses leases that a second try would keep (python-redis-lock)."""
    kind = Kind(weather=Weather(lose_reply=0.2), hold_s=2.5, limits_s=(20.0,), turns=1)
    ours, retry_soon = played(kind, "added"), Renewer._retry_soon

    def give_up(self, lease, why):
        retry_soon(self, lease, why)
        if (entry := self._entries.get(lease.token)) is not None:
            entry.due = lease.deadline

    monkeypatch.setattr(Renewer, "_retry_soon", give_up)
    assert played(kind, "added") < 0.95 * ours


async def opposite_orders():
    """Two that name the same locks in opposite order, at once: whether each got both."""
    async with aio.MemoryLocks() as locks:
        gate = await locks.lock("x").acquire()

        async def take(multi):
            leases = await multi.acquire(timeout=0.3)
            if leases is not None:
                await leases.release()
            return leases is not None

        both = [asyncio.create_task(take(locks.multi(*names))) for names in (("x", "y"), ("y", "x"))]
        await asyncio.sleep(0)
        await gate.release()
        return await asyncio.gather(*both)


async def test_mutant_several_locks_in_the_callers_order(monkeypatch):
    """In the caller's order two wait for each other until their time is up; sorted they never do (the control)."""
    assert await opposite_orders() == [True, True]
    monkeypatch.setattr(provider_base, "in_order", tuple)
    assert False in await opposite_orders()


def test_mutant_tokens_that_begin_anew(monkeypatch):
    """A server that lost its counter and counts from one: the fence refuses every later holder, and work is lost."""
    kind, snapshot = KINDS["failover"], SimRedis.snapshot
    ours = played(kind, "added")

    def forgetful(self):
        copy = snapshot(self)
        copy.fences = dict.fromkeys(copy.fences, 0)
        return copy

    monkeypatch.setattr(SimRedis, "snapshot", forgetful)
    assert played(kind, "added") < ours


def waited_behind_a_stopped_one():
    """Seconds that a waiter waits after a release, behind one whose process was stopped long before."""
    sim, network = Sim(1), SimNetwork(SimRedis(), Weather())
    runtimes = [SimRuntime(sim, SimProcess(f"p{number}")) for number in range(3)]
    backends = [RedisBackend(each, SimTransport(each, network), TUNING) for each in runtimes]
    managers = [LockManager(*each, Lease) for each in zip(runtimes, backends, strict=True)]
    spec = Spec("a", lease_s=5.0, renew=True)
    first = sim.start(runtimes[0].home, managers[0].acquire(spec, 30.0))
    sim.run(0.1)
    waits = []
    for number in (1, 2):
        waits.append(sim.start(runtimes[number].home, managers[number].acquire(spec, 30.0)))
        sim.run(0.1 + 0.1 * number)
    runtimes[1].home.paused_until = 20.0
    sim.run(4.0)
    sim.start(runtimes[0].home, managers[0].releaser.release(first.result))
    while not network.server.owner("stockade:a").startswith("p2"):
        sim.run(sim.now + 0.01)
        network.server.now_ms = sim.now * 1000
    waited_s = sim.now - 4.0
    for wait in waits:
        wait.cancel()
    sim.run(60.0)  # to the end, so that nothing is left unfinished
    return waited_s


def test_mutant_the_dead_are_made_owner(monkeypatch):
    """Without a look at the sign of life a stopped process is made owner, and the next waits for its lease."""
    assert waited_behind_a_stopped_one() < 0.1
    assert hasattr(SimRedis(), "alive")  # an attribute of each server, which a property of the class replaces
    monkeypatch.setattr(SimRedis, "alive", property(lambda self: Always(), lambda self, value: None), raising=False)
    assert waited_behind_a_stopped_one() > 4.0
