"""How many connections this process may have under the operating system's limit of open files.

Each connection is an open file. At the limit no connection can be accepted, and none to the database can be made anew.
Neighbour: `server` asks once, before it listens.
"""

import contextlib
import resource

from stockade.shop.config.settings import Settings
from stockade.shop.operations.logs import logger

OTHERS = 200  # files that are no connection of a client: libraries, logs, lock servers, brokers, and room to spare
PER_POOLED = 2  # one pool for reads, one for transactions


def connection_limit(settings: Settings) -> int:
    """The setting `max_connections`, or less where the operating system allows less.

    Raises this process's own limit as far as it may first. What is missing then is logged once.
    """
    others = OTHERS + PER_POOLED * settings.pool_size
    wanted = settings.max_connections + others
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return settings.max_connections
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(OSError, ValueError):  # some systems allow less than they say: the old limit holds
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    if soft >= wanted:
        return settings.max_connections
    allowed = max(1, soft - others)
    logger().warning("fewer connections than max_connections", open_files=soft, needed=wanted, connections=allowed)
    return allowed
