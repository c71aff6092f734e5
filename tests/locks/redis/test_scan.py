"""`stockade locks` and `scan`: what is in use is found, nothing else, and the search has an end."""

import asyncio
import json
import sys

import pytest
import redis
import redis.asyncio
from typer.testing import CliRunner

from stockade import locks as sync
from stockade.cli import app
from stockade.locks import RedisTuning, aio
from stockade.locks.redis.key_names import names_of
from stockade.locks.redis.scan import KINDS, lock_of
from tests.locks.harness import eventually, queued

NAMES = ["a", "order:42", "x{t}y", "{t}", "{t}x", "foo:rw", "a:semaphore", "two words", "[bold]"]


def stockade(*words):
    """What the command line does with these words."""
    return CliRunner().invoke(app, ["locks", *words])


async def stockade_locks(*words):
    """The same beside this loop."""
    return await asyncio.to_thread(stockade, *words)


@pytest.mark.parametrize("prefix", ["", "shop:"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_names_come_back_from_their_keys(name, kind, prefix):
    """Counter and line of every lock give its kind and name again; under another prefix they are none of ours."""
    keys = names_of(prefix, name, kind).keys
    assert lock_of(keys[1], prefix) == lock_of(keys[2], prefix) == (kind, name)
    assert lock_of(keys[2], "other:") is None


def test_no_two_locks_share_a_key():
    """Different names and kinds have different keys, also where one name looks like the other's hash tag."""
    keys = [key for name in [*NAMES, "t"] for kind in KINDS for key in names_of("", name, kind).keys]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("key", ["f", "x:f", "{x:f", ":q", "{}:f"])
def test_keys_of_others_are_left_alone(key):
    """A key that only ends like ours belongs to no lock."""
    assert lock_of(key, "") is None


class Worlds:
    """What `queued` needs: an actor that inspects."""

    def actor(self):
        async def look(function):
            return await function()

        return look


@pytest.mark.redis
async def test_what_is_held_and_waited_for_is_shown(redis_url):
    """Holder, token, time left, metadata and line of each kind of lock; a lock that was given back is not shown."""
    async with aio.RedisLocks(redis_url) as locks:
        await (await locks.lock("past").acquire()).release()
        held = await locks.lock("order:42", metadata="[job 7]").acquire()
        waiter = asyncio.create_task(locks.lock("order:42").acquire())
        await queued(Worlds(), locks.lock("order:42"), 1)
        share = await locks.semaphore("printer", 3).acquire()
        reader = await locks.rwlock("report").read.acquire()
        assert (await locks.scan()).found == (("lock", "order:42"), ("semaphore", "printer"), ("rw", "report"))
        document = json.loads((await stockade_locks("--redis", redis_url, "--json")).stdout)
        assert document["complete"]
        order, printer, report = document["locks"]
        assert (order["kind"], printer["kind"], report["kind"]) == ("lock", "semaphore", "rw")
        assert {key: order["holders"][0][key] for key in ("owner", "token", "metadata")} == {
            "owner": held.token,
            "token": held.fencing_token,
            "metadata": "[job 7]",
        }
        assert 0 < order["holders"][0]["left_s"] <= 30
        assert 0 <= order["holders"][0]["held_s"] < 10
        assert isinstance(order["holders"][0]["since"], float)
        assert len(order["waiters"]) == 1
        table = (await stockade_locks("--redis", redis_url)).stdout
        for part in (
            "order:42",
            held.token,
            str(held.fencing_token),
            "[job 7]",
            order["waiters"][0],
            share.token,
            " s ago",
        ):
            assert part in table
        assert "past" not in table
        for lease in (held, share, reader):
            await lease.release()
        await (await waiter).release()
    assert "no lock is held" in (await stockade_locks("--redis", redis_url)).stdout


@pytest.mark.redis
@pytest.mark.parametrize("kind", ["lock", "semaphore"])
async def test_since_when_a_lock_is_held(redis_url, kind):
    """`since` is the grant's moment by the server's clock: renewals and waiters do not move it, a hand-over does."""
    async with aio.RedisLocks(redis_url, lease_s=0.3) as locks, redis.asyncio.Redis.from_url(redis_url) as server:
        lock = locks.semaphore("a", 1) if kind == "semaphore" else locks.lock("a")

        async def since():
            (holder,) = (await lock.inspect()).holders
            return holder.since, holder.held_s

        async def now_s():
            seconds, micros = await server.time()
            return seconds + micros / 1e6

        before = await now_s()
        held = await lock.acquire()
        after = await now_s()
        first, _ = await since()
        assert before - 0.01 <= first <= after + 0.01
        waiter = asyncio.create_task(lock.acquire())
        await queued(Worlds(), lock, 1)
        deadline = held.deadline
        await eventually(lambda: held.deadline > deadline + 0.3)  # renewed more than once
        later, held_s = await since()
        assert later == pytest.approx(first, abs=0.01)
        assert held_s == pytest.approx(await now_s() - first, abs=0.1)
        await held.release()
        lease = await waiter
        assert (await since())[0] > first + 0.3
        await locks.raise_fence("a", lease.fencing_token + 7)
        assert (await since())[1] < 5
        await lease.release()


@pytest.mark.redis
def test_named_locks_only(redis_url):
    """With names only these are shown, also when they are free."""
    with sync.RedisLocks(redis_url, RedisTuning(prefix="shop:")) as locks:
        with locks.lock("a"), locks.lock("b"):
            shown = stockade("b", "c", "--redis", redis_url, "--prefix", "shop:", "--json")
        found = {each["name"]: len(each["holders"]) for each in json.loads(shown.stdout)["locks"]}
        assert found == {"b": 1, "c": 0}


@pytest.mark.redis
def test_break_takes_the_lock_away(redis_url):
    """--break frees the lock, and its holder learns it; a second time there is no holder, and the exit code is 1."""
    with sync.RedisLocks(redis_url) as locks:
        lease = locks.lock("a", on_lost="ignore").acquire()
        first = stockade("--redis", redis_url, "--break", "a")
        assert (first.exit_code, first.stdout.strip()) == (0, "a: broken (lock)")
        assert not locks.lock("a").locked()
        lease.release()
        assert lease.lost
    again = stockade("--redis", redis_url, "--break", "a")
    assert (again.exit_code, again.stdout.strip()) == (1, "a: nobody held it")


@pytest.mark.redis
def test_the_search_is_bounded_and_says_so(redis_url):
    """Among more keys than may be looked at the search ends, and the answer says that it is not all."""
    with redis.Redis.from_url(redis_url) as server:
        server.mset({f"filler{number}": 1 for number in range(5_000)})
        before = server.info("commandstats").get("cmdstat_scan", {"calls": 0})["calls"]
        shown = stockade("--redis", redis_url, "--max-keys", "1000")
        assert server.info("commandstats")["cmdstat_scan"]["calls"] - before <= 2
    assert "this is not all" in shown.stdout


@pytest.mark.parametrize(
    ("url", "says"),
    [("redis://127.0.0.1:1", "127.0.0.1:1"), ("http://x", "expected redis://"), ("unix:///none.sock", "/none.sock")],
)
def test_no_server_is_one_clear_line(url, says):
    """A server that is not there, and a URL that is none: exit code 2 and one line that names it."""
    shown = stockade("--redis", url)
    assert shown.exit_code == 2
    assert shown.stderr.startswith("error: ")
    assert says in shown.stderr
    assert len(shown.stderr.strip().splitlines()) == 1


def test_without_the_extra_it_is_named(monkeypatch):
    """Without hiredis the one line says what to install."""
    monkeypatch.setitem(sys.modules, "hiredis", None)
    shown = stockade("--redis", "redis://127.0.0.1:1")
    assert shown.exit_code == 2
    assert "stockade[redis]" in shown.stderr
