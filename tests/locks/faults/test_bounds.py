"""Every call of every Redis provider and face ends in time, whatever its server does: provider x face x phase x fault.

All phases of one provider run at once, each with a provider object of its own, so that a row of the matrix costs as
long as its slowest phase. Neighbours: `bounds.py` (faults), `test_bounds_redis.py`, `test_bounds_sessions.py`.
"""

import asyncio
import contextlib
import inspect
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
import redis.asyncio

from stockade import locks as sync
from stockade.devservers import Servers
from stockade.locks import LockError, LockUnavailable, RedisTuning, aio
from stockade.locks.engine.release_retry import ReleaseRetry
from stockade.locks.redis.backend import RedisBackend
from tests.locks.bounds import FAULTS, SLACK_S, Link, Site, ends_within
from tests.waiting import eventually, eventually_async

pytestmark = pytest.mark.redis
TUNING = RedisTuning(call_s=0.4, patience_s=0.6, poll_s=0.2)
LIMIT_S, LONG_S, LEASE_S = 0.5, 1.5, 30.0
LOGIN = "app:pw@"


@dataclass
class Run:
    """One phase under way: a provider, and the moment at which its server breaks."""

    locks: Any
    broken: threading.Event
    healed: threading.Event
    ready: threading.Event = field(default_factory=threading.Event)  # the phase is prepared, or has failed
    started: float = 0.0
    took_s: float = -1.0
    error: BaseException | None = None
    failed: BaseException | None = None

    async def do(self, result: Any) -> Any:
        """A call of either face."""
        return await result if inspect.isawaitable(result) else result

    async def gate(self) -> None:
        """Everything is prepared: let the server break."""
        self.ready.set()
        assert await asyncio.to_thread(self.broken.wait, 30)
        self.started = time.monotonic()

    async def hold(self, lock: Any) -> Any:
        """Take it while the server is well, on a machine that may be busy with all the other phases."""
        end = time.monotonic() + 20
        while True:
            with contextlib.suppress(LockUnavailable):
                if (lease := await self.do(lock.acquire(timeout=5))) is not None:
                    return lease
            assert time.monotonic() < end


async def acquire_limited(run: Run) -> None:
    await run.gate()
    await run.do(run.locks.lock("limited").acquire(timeout=LIMIT_S))


async def acquire_at_once(run: Run) -> None:
    await run.gate()
    await run.do(run.locks.lock("at-once").acquire(timeout=0))


async def acquire_unlimited(run: Run) -> None:
    await run.gate()
    await run.do(run.locks.lock("unlimited").acquire())


async def try_acquire(run: Run) -> None:
    await run.gate()
    await run.do(run.locks.lock("tried").try_acquire())


async def connect(run: Run) -> None:
    used, run.locks = run.locks, type(run.locks)(*run.locks.made_of)
    await run.do(used.close())
    await acquire_limited(run)


async def wait_in_line(run: Run) -> None:
    run.ready.set()
    run.started = time.monotonic()
    await run.do(run.locks.lock("taken").acquire(timeout=LONG_S))


async def release(run: Run) -> None:
    lease = await run.hold(run.locks.lock("released", on_lost="ignore"))
    await run.gate()
    await run.do(lease.release())


async def end_of_block(run: Run) -> None:
    lease = await run.hold(run.locks.lock("block"))
    await run.gate()
    await run.do((lease.__aexit__ if hasattr(lease, "__aexit__") else lease.__exit__)(None, None, None))


async def extend(run: Run) -> None:
    lease = await run.hold(run.locks.lock("extended", on_lost="ignore"))
    await run.gate()
    await run.do(lease.extend(LEASE_S))


async def inspect_(run: Run) -> None:
    await run.gate()
    await run.do(run.locks.inspect("limited"))


async def break_(run: Run) -> None:
    await run.gate()
    await run.do(run.locks.break_("nobody"))


async def raise_fence(run: Run) -> None:
    await run.gate()
    await run.do(run.locks.raise_fence("fenced", 1))


async def several(run: Run) -> None:
    await run.gate()
    await run.do(run.locks.multi("m1", "m2", "m3").acquire(timeout=LIMIT_S))


async def release_several(run: Run) -> None:
    leases = await run.hold(run.locks.multi("n1", "n2", "n3", on_lost="ignore"))
    await run.gate()
    await run.do(leases.release())


async def close(run: Run) -> None:
    lease = await run.hold(run.locks.lock("held at the end", on_lost="ignore"))
    await run.gate()
    await run.do(run.locks.close())
    assert not lease.released


PATIENCE_S = TUNING.patience_s
PHASES: dict[Callable[[Run], Any], float] = {
    acquire_limited: LIMIT_S,
    acquire_at_once: 0.0,
    acquire_unlimited: PATIENCE_S,
    try_acquire: PATIENCE_S,
    connect: LIMIT_S,
    wait_in_line: LONG_S,
    release: PATIENCE_S,
    end_of_block: PATIENCE_S,
    extend: PATIENCE_S,
    inspect_: PATIENCE_S,
    break_: PATIENCE_S,
    raise_fence: PATIENCE_S,
    several: LIMIT_S,
    release_several: PATIENCE_S,
    close: PATIENCE_S,
}
QUIET = (end_of_block, close)  # they end without an error of their own
ASKED_FOR = (
    "limited",
    "at-once",
    "unlimited",
    "tried",
    "taken",
    "m1",
    "m2",
    "m3",
    "released",
    "block",
    "n1",
    "n2",
    "n3",
)


def play(run: Run, phase: Callable[[Run], Any]) -> None:
    """One phase, in a thread with a loop of its own; afterwards its provider goes on until the server is well again."""

    async def body() -> None:
        lease = await run.hold(run.locks.lock(f"warm {phase.__name__}"))
        with contextlib.suppress(LockUnavailable):  # a machine so busy that the server's answer came after the patience
            await run.do(lease.release())
        try:
            await phase(run)
        except LockError as error:
            run.error = error
        run.took_s = time.monotonic() - run.started
        await asyncio.to_thread(run.healed.wait, 60)
        await eventually_async(lambda: paid(run))
        await run.do(run.locks.close())

    try:
        asyncio.run(body())
    except BaseException as error:  # noqa: BLE001 - `run_all` raises it where the test sees it
        run.failed = error
        run.ready.set()


async def paid(run: Run) -> bool:
    """Whether the server has answered every repeated release, or none is repeated any more."""
    debts = run.locks.backend._release_retry
    return debts._closed or not debts.busy


@pytest.fixture(scope="module")
def sites():
    """Three servers behind links; a user that can lose the right to run scripts."""
    with Servers() as servers, contextlib.ExitStack() as stack:
        made = []
        for _ in range(3):
            server = servers.redis()
            admin = stack.enter_context(redis.Redis.from_url(server.url))

            def rights(what: str, admin: Any = admin) -> None:
                admin.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", *what.split())

            rights("")
            site = Site(server, Link(server.port), lambda rights=rights: rights("-@scripting"), lambda r=rights: r(""))
            stack.callback(site.link.close)
            made.append(site)
        yield made


def url_of(site: Site) -> str:
    return site.url.replace("redis://", f"redis://{LOGIN}")


MAKERS = {
    "url": lambda face, sites: (face.RedisLocks, url_of(sites[0]), TUNING),
    "client": lambda face, sites: (face.RedisLocks, client_of(face, url_of(sites[0])), TUNING),
    "quorum": lambda face, sites: (face.QuorumLocks, [url_of(site) for site in sites], TUNING_OF_MANY),
}
TUNING_OF_MANY = RedisTuning(call_s=0.2, patience_s=0.6, spin_s=0.02)


def client_of(face: Any, url: str) -> Any:
    return redis.asyncio.Redis.from_url(url) if face is aio else redis.Redis.from_url(url)


@pytest.fixture
def made(request, sites):
    """A function that makes a provider, and the sites that break: one, or the majority of a quorum."""
    kind, face = request.param.split("-")
    maker = MAKERS[kind]

    def make() -> Any:
        of, *args = maker(aio if face == "aio" else sync, sites)
        locks = of(*args, lease_s=LEASE_S)
        locks.made_of = args
        return locks

    empty(sites)
    return make, sites[:2] if kind == "quorum" else sites[:1]


def empty(sites: list[Site]) -> None:
    """What a server refused to release is held to the end of its lease: no later try may meet it."""
    for site in sites:
        with redis.Redis.from_url(site.server.url) as admin:
            admin.flushall()


def run_all(make: Callable[[], Any], broken: list[Site], fault: str, phases: Any = PHASES) -> list[tuple[Any, Run]]:
    """All phases at once under one fault, until the server is well again and the providers are closed."""
    on, off = threading.Event(), threading.Event()
    for site in broken:
        with redis.Redis.from_url(site.server.url) as admin:
            admin.set("stockade:taken", "feedfeedfeedfeed.1")
    runs = [(phase, Run(make(), on, off)) for phase in phases]
    threads = [threading.Thread(target=play, args=(run, phase), daemon=True) for phase, run in runs]
    for thread in threads:
        thread.start()
    try:
        end = time.monotonic() + 25  # before the first of them gives up to wait for the fault
        for phase, run in runs:
            assert run.ready.wait(max(end - time.monotonic(), 0)), f"{phase.__name__} is not prepared"
        with contextlib.ExitStack() as stack:
            for site in broken:
                stack.enter_context(site.broken(fault))
            on.set()
            end = time.monotonic() + 15
            while any(run.took_s < 0 and run.failed is None for _, run in runs) and time.monotonic() < end:
                off.wait(0.01)
    finally:  # no thread stays behind, whatever has failed
        on.set()
        off.set()
        for thread in threads:
            thread.join(30)
    for phase, run in runs:
        assert run.failed is None, f"{phase.__name__}: {run.failed!r}"
    return runs


def keys_left(sites: list[Site]) -> set[str]:
    """Keys that hold a lock without an owner."""
    left: set[str] = set()
    for site in sites:
        with redis.Redis.from_url(site.server.url, decode_responses=True) as admin:
            left |= {name for name in ASKED_FOR if admin.get(f"stockade:{name}") not in (None, "feedfeedfeedfeed.1")}
    return left


TRIES = 2  # a machine that has other work delays some phases of some tries; a bound that is missing fails in each


def in_time(phase: Callable[[Run], Any], run: Run) -> bool:
    return 0 <= run.took_s <= PHASES[phase] + SLACK_S


EVERY = [f"{kind}-{face}" for kind in MAKERS for face in ("aio", "sync")]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("made", EVERY, indirect=True)
def test_every_call_ends(made, sites, fault):
    """Each phase ends in its own time, or within the patience; silence is LockUnavailable; no key stays behind."""
    make, broken = made
    for _ in range(TRIES):
        empty(sites)
        runs = run_all(make, broken, fault)
        late = [f"{phase.__name__}: {run.took_s:.2f} s" for phase, run in runs if not in_time(phase, run)]
        if not late:
            break
    assert not late
    for phase, run in runs:
        name = phase.__name__
        if phase in QUIET:
            assert run.error is None or fault == "refused", name
        elif fault != "refused":
            assert isinstance(run.error, LockUnavailable), f"{name}: {run.error!r}"
    if fault != "refused":
        eventually(lambda: keys_left(sites) == set())


@pytest.mark.parametrize("made", ["url-aio", "url-sync"], indirect=True)
def test_the_control_without_a_limit_is_late(made, monkeypatch):
    """Calls that are not cut to the caller's time: the harness sees that they are late."""
    make, broken = made
    monkeypatch.setattr(RedisBackend, "_limit", lambda self, deadline, now: 2.0)
    ((_, run),) = run_all(make, broken, "stopped", [acquire_limited])
    assert run.took_s > LIMIT_S + SLACK_S


@pytest.mark.parametrize("made", ["url-aio", "url-sync"], indirect=True)
def test_the_control_that_owes_nothing_leaves_a_key(made, sites, monkeypatch):
    """Withdrawals that are not repeated in the background: a key stays."""
    make, broken = made
    monkeypatch.setattr(ReleaseRetry, "retry", lambda self, ask, silent, until: None)
    run_all(make, broken, "stopped", [acquire_limited, release])
    assert keys_left(sites)


def test_the_harness_sees_a_hang():
    """A call that never ends fails its test, with the place where it waits."""
    with pytest.raises(AssertionError, match="a hang"):
        ends_within(-9.8, lambda: threading.Event().wait(30))
