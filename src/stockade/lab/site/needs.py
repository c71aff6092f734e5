"""The names of what faults need of a site. `open_site` reads them; each says what it opens, or why it is not there."""

from collections.abc import Callable, Iterable, Mapping

from stockade.lab.site.tools import no_faketime, no_prlimit, no_small_disk, no_strace

DATABASE_SERVER = "database-server"  # PostgreSQL, MariaDB or MySQL: a file cannot be killed
FSYNC = "fsync"  # the database waits for the disk at each commit, as in production
SMALL_DISK = "small-disk"  # the disk of the database can be filled: a small file system, else a limit of files
REDIS = "redis"
REDIS_EVERYSEC = "redis-everysec"  # append-only file, flushed each second
REDIS_ALWAYS = "redis-always"  # append-only file, flushed at each write
REPLICA = "redis-replica"  # each Redis can fail over
KAFKA = "kafka"
LINKS = "links"  # a link to every server that there is
LINK_DATABASE, LINK_REDIS, LINK_KAFKA = "link-database", "link-redis", "link-kafka"
STRACE, PRLIMIT, FAKETIME = "strace", "prlimit", "libfaketime"
SMALL_POOL = "small-pool"  # each service process has two connections to the database


def _no_full_disk() -> str:
    """Why no disk can be filled here; empty if one can."""
    return no_small_disk() and no_prlimit()


TOOLS: Mapping[str, Callable[[], str]] = {
    STRACE: no_strace,
    PRLIMIT: no_prlimit,
    FAKETIME: no_faketime,
    SMALL_DISK: _no_full_disk,
}
NAMES = frozenset(
    {
        *(DATABASE_SERVER, FSYNC, SMALL_DISK, REDIS, REDIS_EVERYSEC, REDIS_ALWAYS, REPLICA, KAFKA),
        *(LINKS, LINK_DATABASE, LINK_REDIS, LINK_KAFKA, STRACE, PRLIMIT, FAKETIME, SMALL_POOL),
    }
)


def missing_tools(needs: Iterable[str]) -> str:
    """Why these needs cannot be met on this machine, with what to install; empty if they can."""
    return "; ".join(reason for name in sorted(needs) if name in TOOLS and (reason := TOOLS[name]()))
