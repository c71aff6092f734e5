"""Step 2 of a round: open all connections, send all but the last byte of each request, release the last bytes together.

The last bytes are sent by one loop without anything between two of them, because every other way (a task, a thread, a
barrier for each buyer) spreads them wider. Neighbours: `collect.py` waits for the answers, `open_loop.py` is the other
way to send, `stockade.race.runner` chooses.
"""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from stockade.devservers.launch import raise_open_files
from stockade.race.errors import RaceError
from stockade.race.http.address import Address
from stockade.race.http.connection import Connection, Message

OPENING_AT_ONCE = 100  # handshakes in flight: fewer than the queue of any listening socket
_OTHER_FILES = 100  # that this process has open beside the connections
_SETTLE_S = 0.02  # until the server has seen the connections and the first bytes of all requests …
_SETTLE_EACH_S = 0.000_2  # … and for each of them


@dataclass(slots=True)
class Prepared:
    """A request of which the server has everything but the last byte.

    Attributes:
        message: the request.
        connection: that it was sent on.
        released_s: when its last byte left, of `time.perf_counter`.
        error: why it did not; empty: it did.
    """

    message: Message
    connection: Connection
    released_s: float = 0.0
    error: str = ""


@asynccontextmanager
async def prepared(address: Address, messages: Sequence[Message], timeout_s: float) -> AsyncIterator[list[Prepared]]:
    """Open a connection for each request, and send all but its last byte; the connections end in the end.

    Args:
        address: of the target.
        messages: one for each buyer.
        timeout_s: longest time for all of them, in seconds.

    Raises:
        RaceError: one cannot be opened: the requests would not be released together.
    """
    allow_connections(len(messages))
    opened: dict[int, Connection] = {}
    places = asyncio.Semaphore(OPENING_AT_ONCE)

    async def open_one(at: int) -> None:
        async with places:
            opened[at] = await Connection.open(address)
            await opened[at].prepare(messages[at])

    try:
        try:
            async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as group:
                for at in range(len(messages)):
                    group.create_task(open_one(at))
        except TimeoutError:
            raise RaceError(f"{address.url}: {len(messages)} connections were not open in {timeout_s:g} s") from None
        except BaseExceptionGroup as errors:
            raise _said(errors.exceptions[0], f"{address.url}: one of {len(messages)} connections failed") from None
        await asyncio.sleep(_SETTLE_S + _SETTLE_EACH_S * len(messages))
        yield [Prepared(message, opened[at]) for at, message in enumerate(messages)]
    finally:
        for each in opened.values():
            each.close()


def _said(error: BaseException, where: str) -> BaseException:
    """The error of a connection as one line; any other is what it is."""
    return RaceError(f"{where}: {error.strerror or error}") if isinstance(error, OSError) else error


def allow_connections(wanted: int) -> None:
    """Raise the limit of open files of this process.

    Raises:
        RaceError: it cannot be raised so far.
    """
    limit, needed = raise_open_files(), wanted + _OTHER_FILES
    if limit < needed:
        raise RaceError(
            f"race.buyers: {wanted} connections need {needed} open files, and the limit (ulimit -n) is {limit}"
        )


def release_together(requests: Sequence[Prepared]) -> float:
    """Send the last byte of every request, one after the other, as fast as this process can.

    Returns:
        The time from the first to the last of them, in seconds.
    """
    collecting = gc.isenabled()
    gc.disable()  # a collection would stand between two of them
    clock = time.perf_counter
    first_s = clock()
    for each in requests:
        each.released_s = clock()
        try:
            each.connection.release()
        except OSError as error:
            each.error = f"the server ended the connection before the request was complete ({error.strerror})"
    spread_s = clock() - first_s
    if collecting:
        gc.enable()
    return spread_s
