"""What a kind of database must provide: connections, and the statements of a lock. Neighbour: `session.py` (bounds).

Every method that takes a connection sends statements, bounds no time and lets the driver's errors through: `Session`
does both. No statement is ever cancelled on the client's side, since a driver's clean-up can hang; a session that does
not answer is aborted instead.
"""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, Protocol

from stockade.drivers.failures import ConnectFailed
from stockade.locks.database.sources.source import Source, exhausted
from stockade.locks.engine.lock_request import LockRequest
from stockade.locks.errors import LockUnavailable

_ABORTED_S = 1.0  # how long a statement may take to end after its connection was aborted


class ListedSession(NamedTuple):
    """A session that holds a lock or waits for it, as the server shows it.

    Attributes:
        session: the server's number of the session.
        granted: whether it holds the lock.
        owner: the owner id that it left, or another description.
        fencing_token: of the grant; 0 where it is not known.
        metadata: text that the holder left.
    """

    session: int
    granted: bool
    owner: str
    fencing_token: int = 0
    metadata: str = ""


class SourceOwner:
    """The part of a dialect that concerns connections, whatever the kind of database.

    Args:
        source: of the connections.
        patience_s: a connection is made within so many seconds.
    """

    def __init__(self, source: Source, patience_s: float) -> None:
        self._source = source
        self._patience_s = patience_s
        self.given = source.given

    @property
    def where(self) -> str:
        """See `LockDialect`."""
        return self._source.place

    async def connected(self, timeout_s: float | None) -> tuple[Any, float]:
        """A connection, and the seconds that are left for its first statements."""
        limit_s = self._patience_s if timeout_s is None else timeout_s
        began = asyncio.get_running_loop().time()
        connection = await self._source.connect(limit_s)
        used_s = asyncio.get_running_loop().time() - began
        return connection, limit_s if self.given else max(limit_s - used_s, 0.0)

    def must_purge_tokens(self) -> bool:
        """See `LockDialect`."""
        return False

    async def purge_tokens(self, connection: Any) -> None:
        """See `LockDialect`."""

    async def give_back(self, connection: Any) -> None:
        """See `LockDialect`."""
        await self._source.give_back(connection)

    def abort(self, connection: Any) -> None:
        """See `LockDialect`."""
        self._source.discard(connection)

    def no_connection(self, within_s: float) -> LockUnavailable:
        """See `LockDialect`."""
        if self.given:
            return exhausted(self._source.size, within_s)
        return LockUnavailable(f"{self._source.place}: no connection in time")


class LockDialect(Protocol):
    """The statements of one kind of database, through one driver.

    Attributes:
        given: whether the connections belong to the caller: they go back, clean, when they are not needed.
    """

    kind: str
    given: bool

    @property
    def where(self) -> str:
        """Hosts and ports, for messages."""
        ...

    def no_connection(self, within_s: float) -> LockUnavailable:
        """The error when there is no connection after so many seconds."""
        ...

    def must_purge_tokens(self) -> bool:
        """Whether it is time for `purge_tokens`."""
        ...

    async def purge_tokens(self, connection: Any) -> None:
        """Delete what is kept of the fencing tokens of locks that nobody has used for long; for an idle connection."""
        ...

    async def clean(self, connection: Any, ended: Callable[[Any], None]) -> None:
        """Release every lock of the session, and undo what `connect` has changed; then `give_back` may follow."""
        ...

    async def give_back(self, connection: Any) -> None:
        """Return it to its owner."""
        ...

    async def connect(self, ended: Callable[[Any], None], timeout_s: float | None = None) -> Any:
        """A connection that is ready for use; `ended(connection)` is called when it breaks, if the driver can."""
        ...

    def number(self, connection: Any) -> int:
        """The server's number of the session."""
        ...

    def transport(self, connection: Any) -> Any:
        """The asyncio transport; None once it is closed."""
        ...

    def gone(self, connection: Any) -> bool:
        """Whether the other side has closed it. No I/O."""
        ...

    def abort(self, connection: Any) -> None:
        """Close it at once, whatever it is doing; statements in flight fail."""
        ...

    async def try_acquire(self, connection: Any, request: LockRequest) -> int | None:
        """Try once. The fencing token of the grant, or None."""
        ...

    async def wait(self, connection: Any, request: LockRequest, wait_s: float) -> bool:
        """Wait on the server for `wait_s` seconds; `record_owner` follows a grant."""
        ...

    async def record_owner(self, connection: Any, request: LockRequest) -> int:
        """Record the owner of the lock that the session holds, and draw a fencing token above all earlier ones."""
        ...

    async def release(self, connection: Any, name: str, last: bool) -> bool:
        """Release it; False: the session did not hold it. `last`: it holds no other."""
        ...

    async def ping(self, connection: Any) -> bool:
        """Whether it is still the session that it was."""
        ...

    async def interrupt(self, connection: Any, session: int) -> None:
        """End the statement of another session, not the session."""
        ...

    async def list_sessions(self, connection: Any, name: str) -> list[ListedSession]:
        """Which sessions hold the lock and wait for it."""
        ...

    async def end_session(self, connection: Any, session: int) -> None:
        """End another session, and with it all its locks."""
        ...


def hashed(prefix: str, name: str) -> bytes:
    """The name as sixteen bytes; databases allow short names or numbers only."""
    return hashlib.blake2b((prefix + name).encode(), digest_size=16).digest()


async def run_first_statements(
    connection: Any, work: Coroutine[Any, Any, None], limit_s: float, abort: Callable[[Any], None]
) -> None:
    """Run the first statements of a connection; on any failure it is aborted.

    Raises:
        ConnectFailed: they were not answered within `limit_s` seconds.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=limit_s)
        if not task.done():
            raise ConnectFailed(f"a connection was made, then nothing was answered within {limit_s:g} s")
        task.result()
    except BaseException:
        abort(connection)
        await asyncio.wait({task}, timeout=_ABORTED_S)
        if task.done() and not task.cancelled():
            task.exception()  # it was raised above, or is the abort's
        raise
