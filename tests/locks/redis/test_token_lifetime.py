"""Fencing tokens of a lock that is not used any more are forgotten soon, and the next one is greater all the same."""

from pathlib import Path

import pytest
import redis

from stockade.locks import RedisTuning, aio
from stockade.locks.redis import script as scripts
from tests.locks.harness import eventually

pytestmark = pytest.mark.redis
FENCE = "stockade:{stockade:a}:f"
SHARED = ("stockade:{stockade:a}:rw:f", "stockade:{stockade:a}:semaphore:f")


@pytest.fixture
def server(redis_url):
    """A client of the server."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


async def token(lock):
    async with lock as lease:
        return lease.fencing_token


async def test_released_locks_leave_nothing_for_long(redis_url, server):
    """Two thousand released locks leave no key when `token_ttl_s`, and the lease, have passed."""
    async with aio.RedisLocks(redis_url, RedisTuning(token_ttl_s=1), lease_s=0.5) as locks:
        for number in range(2000):
            await token(locks.lock(f"order:{number}"))
        lives_ms = [server.pttl(key) for key in server.scan_iter("*")]
        assert max(lives_ms) <= 1_500
        await eventually(lambda: server.dbsize() == 0)


async def test_the_usual_lifetime_is_ten_minutes(redis_url, server):
    """After the end of the lease, where the setting is not used; so 20,000 locks are not kept for a week."""
    async with aio.RedisLocks(redis_url, lease_s=30) as locks:
        await token(locks.lock("a"))
        await token(locks.rwlock("a").write)
        await token(locks.semaphore("a", 1))
    assert all(599_000 < server.pttl(key) <= 630_000 for key in (FENCE, *SHARED))


KINDS = {
    "lock": (lambda locks: locks.lock("a"), FENCE),
    "rw": (lambda locks: locks.rwlock("a").write, SHARED[0]),
    "semaphore": (lambda locks: locks.semaphore("a", 2), SHARED[1]),
}


async def tokens_over_forgetting(redis_url, server, kind):
    """Tokens of one lock whose fence is forgotten after each, as if its time had passed."""
    make, fence = KINDS[kind]
    tokens = []
    async with aio.RedisLocks(redis_url) as locks:
        for _ in range(50):
            tokens += [await token(make(locks)), await token(make(locks))]
            assert server.delete(fence) == 1
    return tokens


@pytest.mark.parametrize("kind", KINDS)
async def test_tokens_grow_although_they_are_forgotten(redis_url, server, kind):
    """Each token is greater than all before it, also when the server has forgotten them."""
    tokens = await tokens_over_forgetting(redis_url, server, kind)
    assert tokens == sorted(set(tokens))


async def test_control_a_counter_without_the_clock_begins_anew(redis_url, server, monkeypatch):
    """The mutant that counts from 1 gives the same tokens again once they are forgotten."""
    monkeypatch.setattr(scripts.Prepared, "run", without_the_clock)
    tokens = await tokens_over_forgetting(redis_url, server, "lock")
    assert tokens != sorted(set(tokens))


async def without_the_clock(self, server, owner, timeout_s):
    text = self._script.text.replace("= clock[1] * 1000000 + clock[2],", "= 0,")
    return await server.call("EVAL", text, len(self._keys), *self._keys, owner, *self._args, timeout_s=timeout_s)


async def test_a_token_ahead_of_the_clock_is_kept_until_the_clock_has_passed_it(redis_url, server):
    """Raised by an hour, as after the promotion of a server whose clock was ahead: it lives for the hour and longer,
    whatever is granted meanwhile."""
    async with aio.RedisLocks(redis_url, RedisTuning(token_ttl_s=1), lease_s=1) as locks:
        seconds, micros = server.time()
        await locks.raise_fence("a", (seconds + 3600) * 1_000_000 + micros)
        assert 3_590_000 < server.pttl(FENCE) <= 3_601_000
        raised = await token(locks.lock("a"))
        assert 3_590_000 < server.pttl(FENCE) <= 3_602_000
        assert await token(locks.lock("a")) == raised + 1


async def test_a_held_lock_keeps_its_token(redis_url, server):
    """The fence of a lock that is renewed for longer than `token_ttl_s` stays, so `inspect` shows it."""
    tuning = RedisTuning(token_ttl_s=1)
    async with aio.RedisLocks(redis_url, tuning, lease_s=0.6) as locks, locks.lock("a") as lease:
        deadline = lease.deadline
        await eventually(lambda: lease.deadline > deadline + 1.8)
        (holder,) = (await locks.lock("a").inspect()).holders
        assert holder.token == lease.fencing_token
        assert 1.5 < holder.held_s < 10
        assert server.pttl(FENCE) > 1_000


async def test_a_short_share_does_not_shorten_the_life_of_the_token(redis_url, server):
    """The fence of a semaphore lives for the longest lease that is held, and `token_ttl_s` longer."""
    async with (
        aio.RedisLocks(redis_url, RedisTuning(token_ttl_s=1)) as locks,
        locks.semaphore("a", 2, lease_s=30),
        locks.semaphore("a", 2, lease_s=1),
    ):
        assert server.pttl(SHARED[1]) > 29_000


def test_the_rule_of_the_next_token_is_written_once():
    """The scripts of mutexes and those of shares have it from the same file."""
    folder = Path(scripts.__file__).parent / "scripts"
    files = [each.name for each in folder.glob("*.lua") if "function next_fence" in each.read_text(encoding="utf-8")]
    assert files == ["next_fence.lua"]
    for head in ("mutex", "shared"):
        assert scripts.script(f"{head}_common", f"{head}_acquire").text.count("function next_fence") == 1


@pytest.mark.parametrize("value", [0, -1, 0.5, "1", None, float("inf")])
def test_a_lifetime_that_makes_no_sense(value):
    """At least a second, and finite."""
    with pytest.raises((TypeError, ValueError), match="token_ttl_s must be"):
        RedisTuning(token_ttl_s=value)
