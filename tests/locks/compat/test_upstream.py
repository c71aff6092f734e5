"""redis-py's own tests of its lock, run against our drop-ins. Its wheel lacks them: `./stockade test` takes them from
the pinned release's source package.

All 31 for threads and 29 for asyncio (on a pool and on a single connection) are run, also those that replace the clock
and count the sleeps: our classes are subclasses, and the polling is redis-py's. Neighbour: `test_compat.py` (where we
promise more).
"""

import importlib.util
import inspect
import sys
from pathlib import Path

import pytest
import redis
import redis.asyncio

from stockade.locks.compat import redis_py

pytestmark = pytest.mark.redis
FOLDER = Path(__file__).parents[3] / ".stockade" / "upstream"
OURS = {"sync": redis_py.Lock, "asyncio": redis_py.AsyncLock}


def theirs(face):
    """Their module with our lock in the place of theirs; None when its text could not be had."""
    path = FOLDER / f"redis_py_{face}.py"
    if not path.exists():
        return None
    text = path.read_text()
    for of_their_suite in ("from .conftest import _get_client", "@pytest.mark.onlynoncluster"):
        text = text.replace(of_their_suite, "")
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(f"redis_py_{face}", None))
    exec(compile(text, path, "exec"), module.__dict__)
    module.Lock = OURS[face]
    return module


MODULES = {face: theirs(face) for face in OURS}
TESTS = {
    face: [name for name in dir(module.TestLock) if name.startswith("test_")] if module else []
    for face, module in MODULES.items()
}


def replace_clock(module, monkeypatch):
    """Their `fake_lock_time`: the clock of redis-py's lock module is one that only its sleeps move."""
    clock = module.FakeLockTime()
    name = "asyncio" if module is MODULES["asyncio"] else "mod_time"
    monkeypatch.setattr(module.lock_module, name, clock)
    return clock


@pytest.mark.parametrize("name", TESTS["sync"])
def test_redis_pys_tests(redis_url, monkeypatch, name):
    """Each of redis-py's tests of its lock, by its name."""
    module = MODULES["sync"]
    test = getattr(module.TestLock(), name)
    with redis.Redis.from_url(redis_url) as client, redis.Redis.from_url(redis_url, decode_responses=True) as decoded:
        fixtures = {"r": client, "r_decoded": decoded}
        if "fake_lock_time" in inspect.signature(test).parameters:
            fixtures["fake_lock_time"] = replace_clock(module, monkeypatch)
        test(**{wanted: fixtures[wanted] for wanted in inspect.signature(test).parameters})


@pytest.mark.parametrize("single", [False, True], ids=["pool", "single"])
@pytest.mark.parametrize("name", TESTS["asyncio"])
async def test_redis_pys_asyncio_tests(redis_url, monkeypatch, name, single):
    """Each of redis-py's tests of its asyncio lock, by its name, on both kinds of connection."""
    module = MODULES["asyncio"]
    test = getattr(module.TestLock(), name)

    def connect(**options):
        return redis.asyncio.Redis.from_url(redis_url, single_connection_client=single, **options)

    async with connect() as client, connect(decode_responses=True) as decoded:
        fixtures = {"r": client, "r_decoded": decoded}
        if "fake_lock_time" in inspect.signature(test).parameters:
            fixtures["fake_lock_time"] = replace_clock(module, monkeypatch)
        await test(**{wanted: fixtures[wanted] for wanted in inspect.signature(test).parameters})


def test_all_of_them_are_run(request):
    """None is left out: 31 and 29 tests of the lock (one more in each file is about `lock_class=`)."""
    if not any(TESTS.values()):
        missing = pytest.fail if "all" in request.config.getoption("--require").split(",") else pytest.skip
        missing("left out: upstream (redis-py's own tests; ./stockade test fetches them)")
    assert {face: len(names) for face, names in TESTS.items()} == {"sync": 31, "asyncio": 29}


METHODS = ["__init__", "acquire", "release", "do_acquire", "do_release", "extend", "do_extend", "reacquire", "locked"]


@pytest.mark.parametrize("name", [*METHODS, "do_reacquire", "owned"])
@pytest.mark.parametrize("face", OURS)
def test_signatures_are_redis_pys(face, name):
    """Names, order, kinds and defaults of the parameters are those of the installed redis-py."""

    def shape(cls):
        return [
            (each.name, each.kind, each.default) for each in inspect.signature(getattr(cls, name)).parameters.values()
        ]

    upstream = sys.modules["redis.lock" if face == "sync" else "redis.asyncio.lock"].Lock
    assert shape(OURS[face]) == shape(upstream)
