"""What a source of connections does, and the errors of those that belong to the caller."""

from typing import Any, Protocol

from stockade.core import StockadeError
from stockade.drivers.failures import Failure, classify, describe
from stockade.locks.errors import LockError, LockUnavailable

GIVEN_CONNECTIONS = 2  # default for a pool of the caller: one that never waits on the server, and one that does
_POOLS = ("asyncpg", "asyncmy", "sqlalchemy", "psycopg", "psycopg_pool", "psycopg2", "pymysql", "MySQLdb")


class Source(Protocol):
    """Gives connections, and takes them back.

    Attributes:
        given: whether the connections belong to the caller, who wants them back clean and soon.
        place: of the server, for messages.
        size: connections that it gives at most; None: no limit is known.
        application: the `application_name` of its sessions; empty: not known.
    """

    given: bool
    place: str
    size: int | None
    application: str

    async def connect(self, timeout_s: float) -> Any:
        """A connection; a pool of the caller may take longer than `timeout_s` seconds, by its own rules."""
        ...

    async def give_back(self, connection: Any) -> None:
        """Take back a connection that holds nothing and has its own settings again."""
        ...

    def discard(self, connection: Any) -> None:
        """Close it at once, whatever it is doing; statements in flight fail."""
        ...


def exhausted(size: int | None, within_s: float) -> LockUnavailable:
    """The error when a pool of the caller gives no connection."""
    how_many = "its connections are" if size is None else f"all of its {size} connections are"
    return LockUnavailable.unsent(
        f"the given pool gave no connection within {within_s:.1f} s: {how_many} in use. Make it larger, or take the "
        "lock before a connection of the pool instead of after"
    )


def refused_loan(error: Exception) -> Exception:
    """The error of a pool of the caller that gave no connection; one that is not the driver's stays as it is."""
    if isinstance(error, StockadeError):
        return error
    of_driver = any(each.__module__.partition(".")[0] in _POOLS for each in type(error).__mro__)
    if not of_driver and not isinstance(error, OSError):
        return error
    text = f"the given pool gave no connection: {describe(error)}"
    return LockError(text) if classify(error) is Failure.REFUSED else LockUnavailable.unsent(text)


def connections_of(source: Source, wanted: int | None, default: int) -> int:
    """How many connections to use at most.

    Raises:
        ValueError: a pool of the caller does not have so many, or is too small for a lock and the work inside it.
    """
    if not source.given:
        return default if wanted is None else wanted
    if source.size is not None and source.size < 2:
        raise ValueError(
            "the pool has one connection, which a held lock would keep: give it two or more, or give a URL instead"
        )
    if wanted is None:
        return GIVEN_CONNECTIONS if source.size is None else min(GIVEN_CONNECTIONS, source.size - 1)
    if source.size is not None and wanted > source.size:
        raise ValueError(f"connections is {wanted}, and the pool has {source.size}: use fewer, and leave it some")
    return wanted
