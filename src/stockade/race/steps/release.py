"""Step 2 of a round: open all connections, send all but the last byte of each head, release these bytes together.

What is held back, that byte and the body, is sent by one loop without anything between two of them, because every other
way (a task, a thread, a barrier for each buyer) spreads them wider. Neighbours: `collect.py` waits for the answers,
`open_loop.py` is the other way to send, `stockade.race.runner` chooses.
"""

import asyncio
import gc
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
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
    """A request of which the server has everything up to the last byte of the head.

    Attributes:
        message: the request.
        connection: that it was sent on.
        released_s: when that byte left, of `time.perf_counter`; 0: not yet.
        error: why it did not; empty: it did.
    """

    message: Message
    connection: Connection
    released_s: float = 0.0
    error: str = ""


@asynccontextmanager
async def prepared(address: Address, messages: Sequence[Message], timeout_s: float) -> AsyncIterator[list[Prepared]]:
    """Open a connection for each request, and send its head but the last byte; the connections end in the end.

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
        yield [Prepared(message, opened[at]) for at, message in enumerate(messages)]
    finally:
        for each in opened.values():
            each.close()


async def settle(requests: Sequence[Prepared]) -> None:
    """Wait until the server has seen what was sent, while somebody reads what it answers.

    Raises:
        RaceError: it answers already, or has ended a connection.
    """
    await asyncio.sleep(_SETTLE_S + _SETTLE_EACH_S * len(requests))
    if early := [each for each in requests if each.connection.heard]:
        raise too_early(early[0])


def too_early(request: Prepared) -> RaceError:
    """The error of a server that does not wait for the release."""
    return RaceError(
        f"{request.message}: the server answered, or ended the connection, before the head of the request was "
        "complete: the requests cannot be released together"
    )


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
    """Send what was held back of every request, one after the other, as fast as this process can.

    Returns:
        The time from the first to the last of them, in seconds.
    """
    clock = time.perf_counter
    with _undisturbed():
        first_s = clock()
        for each in requests:
            each.released_s = clock()
            try:
                each.connection.release()
            except OSError as error:
                each.error = f"the connection broke before the request was complete: {error.strerror}"
        return clock() - first_s


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Nothing comes between two releases: no garbage collection and, where this process may, no other process.

    Each byte wakes the server, which the scheduler would often put in front of the sender. A thread under SCHED_FIFO
    (sched(7)) is not put behind a usual one; only root and those with CAP_SYS_NICE may choose it.
    """
    collecting = gc.isenabled()
    gc.disable()
    usual = _in_front()
    try:
        yield
    finally:
        if usual is not None:
            os.sched_setscheduler(0, usual, os.sched_param(0))
        if collecting:
            gc.enable()


def _in_front() -> int | None:
    """Put this thread in front of the usual ones; its policy before, None where that is not allowed."""
    if sys.platform != "linux":
        return None
    usual = os.sched_getscheduler(0)
    if usual not in (os.SCHED_OTHER, os.SCHED_BATCH):  # somebody has chosen already
        return None
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:  # not allowed, or a kernel without it
        return None
    return usual
