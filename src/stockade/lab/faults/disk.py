"""The disk of the database, or of Redis, is full, slow or failing.

A flush that fails makes PostgreSQL and MariaDB end and recover from their logs; a disk that is full makes them refuse
what extends a file. No negative control has to fail here.
"""

from collections.abc import Sequence
from functools import partial

from stockade.lab.faults.pieces import replace_missing, service_pids
from stockade.lab.faults.possible import make_fault
from stockade.lab.recording.fault import DATABASE, REDIS, Disturbed
from stockade.lab.site.disk import Pids
from stockade.lab.site.needs import FSYNC, PRLIMIT, REDIS_ALWAYS, REDIS_EVERYSEC, SMALL_DISK, STRACE
from stockade.lab.site.redis_server import RedisServer

SLOWER_S = 0.2


def writers(disturbed: Disturbed) -> Pids:
    """The processes that write the database: those of the server, or of the service where it is a file."""
    database = disturbed.site.database
    return database.pids if database.is_server else partial(service_pids, disturbed)


async def fill(disturbed: Disturbed) -> Sequence[str]:
    """No file of the database can grow."""
    return await disturbed.site.database.disk.fill(writers(disturbed))


async def slow_down(disturbed: Disturbed) -> Sequence[str]:
    """Each flush of the database takes longer."""
    return await disturbed.site.database.disk.slow(writers(disturbed), SLOWER_S)


async def fail(disturbed: Disturbed) -> Sequence[str]:
    """Each flush of the database fails."""
    return await disturbed.site.database.disk.fail(writers(disturbed))


async def restore(disturbed: Disturbed) -> None:
    """Heal the disk; start the server if it has ended over it."""
    for why in (await disturbed.site.database.disk.restore(), await disturbed.site.database.bring_back()):
        if why:
            disturbed.note(why)
    await replace_missing(disturbed)


async def fill_redis(disturbed: Disturbed) -> Sequence[str]:
    """No file of one Redis can grow: it answers writes with MISCONF (with a flush at each write it would end)."""
    redis = _one_redis(disturbed)
    return await redis.disk.fill(redis.pids)


async def slow_down_redis(disturbed: Disturbed) -> Sequence[str]:
    """Each flush of one Redis takes longer, and all its clients wait for it."""
    redis = _one_redis(disturbed)
    return await redis.disk.slow(redis.pids, SLOWER_S)


async def restore_redis(disturbed: Disturbed) -> None:
    """Heal the disks; start a server that has ended over it."""
    for redis in disturbed.site.redis:
        if why := await redis.disk.restore():
            disturbed.note(why)
        await redis.bring_back()


def _one_redis(disturbed: Disturbed) -> RedisServer:
    return disturbed.rng.choice(disturbed.site.redis)


FAULTS = (
    make_fault(
        "disk-full",
        "the disk of the database is full, then has room again",
        fill,
        restore,
        needs=frozenset({SMALL_DISK, FSYNC}),
        touches=(DATABASE,),
        exclusive=(DATABASE,),
        ends_it=True,
    ),
    make_fault(
        "disk-slow",
        f"each flush of the database takes {SLOWER_S * 1_000:.0f} ms longer",
        slow_down,
        restore,
        needs=frozenset({STRACE, FSYNC}),
        touches=(DATABASE,),
        exclusive=(DATABASE,),
    ),
    make_fault(
        "disk-failing",
        "each flush of the database fails with an input/output error",
        fail,
        restore,
        needs=frozenset({STRACE, FSYNC}),
        touches=(DATABASE,),
        exclusive=(DATABASE,),
        ends_it=True,
    ),
    make_fault(
        "redis-disk-full",
        "the append-only file of Redis cannot grow, then can",
        fill_redis,
        restore_redis,
        needs=frozenset({REDIS_EVERYSEC, PRLIMIT}),
        covered_by=("restart",),
        touches=(REDIS,),
        exclusive=(REDIS,),
        ends_it=True,
    ),
    make_fault(
        "redis-disk-slow",
        f"each flush of Redis takes {SLOWER_S * 1_000:.0f} ms longer",
        slow_down_redis,
        restore_redis,
        needs=frozenset({REDIS_ALWAYS, STRACE}),
        covered_by=("restart",),
        touches=(REDIS,),
        exclusive=(REDIS,),
    ),
)
