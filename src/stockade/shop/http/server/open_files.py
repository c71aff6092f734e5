"""How many connections this process may have under the operating system's limit of open files.

Each connection is an open file. At that limit a process can neither accept connections nor open one to the database.
Neighbour: `server` calls it once, before it listens.
"""

import contextlib
import resource

from stockade.shop.config.settings import Settings
from stockade.shop.operations.logs import logger

OTHERS = 200  # open files that are no client's connection: libraries, logs, lock servers, brokers, and a reserve
PER_POOLED = 2  # one pool for reads, one for transactions


def connection_limit(settings: Settings) -> int:
    """The setting `max_connections`, or less where the operating system allows less.

    Raises this process's own limit first, as far as it may. A limit that stays too low is logged once.
    """
    others = OTHERS + PER_POOLED * settings.pool_size
    wanted = settings.max_connections + others
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return settings.max_connections
    highest = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(OSError, ValueError):  # some systems allow less than they report: the old limit stays
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
        soft = highest
    if soft >= wanted:
        return settings.max_connections
    allowed = max(1, soft - others)
    logger().warning("fewer connections than max_connections", open_files=soft, needed=wanted, connections=allowed)
    return allowed
