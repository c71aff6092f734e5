"""What an event loop leaves open that is closed while its provider is not: the next loop closes it.

Neighbour: `test_forks_and_loops.py` (whether the provider works there).
"""

import asyncio
import contextlib
import gc
import warnings
from pathlib import Path

import pytest

from stockade.locks import aio
from tests.locks.processes.test_forks_and_loops import AIO, TUNING, visit, visit_other

LEFT = AIO | {
    "cluster": lambda request: aio.RedisLocks(request.getfixturevalue("cluster_urls")[:1], TUNING, cluster=True),
    "postgres": lambda request: aio.PostgresLocks(request.getfixturevalue("postgres_url"), prefix="left"),
    "mysql": lambda request: aio.MySQLLocks(request.getfixturevalue("mariadb_url"), prefix="left"),
}
LEFT_NEEDS = {"postgres": pytest.mark.postgres, "mysql": pytest.mark.mariadb}


def abruptly(work):
    """Run it in a loop that is closed without any word to its tasks."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(work)
    loop.close()


@pytest.mark.parametrize(
    ("kind", "run"),
    [
        pytest.param(kind, run, marks=LEFT_NEEDS.get(kind, pytest.mark.redis))
        for kind in LEFT
        for run in (asyncio.run, abruptly)
        if kind != "memory" and (kind, run) != ("client", abruptly)  # redis-py's own calls warn of such an end
    ],
)
def test_a_closed_loop_leaves_no_socket(request, kind, run):
    """The next call in another loop, `close` too, closes what the loop of before has left open; nothing warns of it."""
    locks = LEFT[kind](request)
    gc.collect()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        others = sockets()  # of tests before this one, in the same process
        run(visit(locks))
        before = sockets() - others
        run(visit_other(locks))
        assert len(sockets() - others) <= len(before)
        asyncio.run(locks.close())
        assert not before & sockets()
        locks = None
        gc.collect()
    assert not [str(each.message) for each in found]


def sockets():
    """Those of this process that lead somewhere, each with a number that no other one gets."""
    found = set()
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the folder's own
            found.add(str(each.readlink()))
    return {each for each in found if each.startswith("socket:")}
