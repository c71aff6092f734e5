"""What the lab and its service processes say to each other, and how it is put on the wire.

A recording sends single commands, many at a time; a burst goes as a whole, so that its buyers are in the process. A
message is a number and a value, pickled, after its length. Each message from the lab has one reply with its number.
Neighbours: `service_process.py` is the lab's side, `service_main.py` the process.
"""

import asyncio
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from stockade.core import Command
from stockade.lab.execution.command_log.log_worker import LogWorkerConfig
from stockade.lab.execution.order_senders import SenderConfig

LENGTH_BYTES = 4
QUEUED, WAITING, REQUESTS = "queued", "waiting for a connection", "requests"  # names of queues, in `Counters`
MAX_BYTES = 64_000_000  # that wait to be written: below that nobody is told to pause


@dataclass(frozen=True, slots=True)
class OpenService:
    """Close what is open, then open the application under a strategy. Reply: None.

    Attributes:
        config: what to open.
        fault_points: whether the store stops at its fault points, so that it never writes a batch as one statement.
        events: the file to which it relays events; empty: it relays none.
        warm: open all connections and threads at once, so that only a leak adds to their number.
    """

    config: SenderConfig
    fault_points: bool = False
    events: str = ""
    warm: bool = False


@dataclass(frozen=True, slots=True)
class OpenLogWorker:
    """Close what is open, then decide the commands of a log. Reply: None.

    With `fault_points` its store stops at its fault points.
    """

    config: LogWorkerConfig
    fault_points: bool = False


class Execute(NamedTuple):
    """Carry out a command. Reply: an `Answer`."""

    command: Command


class ReadRows(NamedTuple):
    """Read the versions of rows of one kind by one plain query. Reply: an `Answer`."""

    kind: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoadBurst:
    """Make the buyers of these commands, who wait for the beginning; with `submit` they only queue. Reply: None."""

    commands: tuple[Command, ...]
    submit: bool = False


@dataclass(frozen=True, slots=True)
class BeginBurst:
    """Let the buyers send their commands now, all at once. Reply: the `SendResult`, when all have their answers."""


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Finish the payments that were left open. Reply: None."""


@dataclass(frozen=True, slots=True)
class QueryLogWorker:
    """Reply: the `LogWorkerProgress`."""


class Cancel(NamedTuple):
    """Cancel the request of this number: its client has given up. It has no reply of its own."""

    number: int


@dataclass(frozen=True, slots=True)
class SignalAtPoint:
    """Send this process a signal when its store next reaches a fault point. Reply: None.

    While single commands are executed, SIGSTOP waits, for a bounded number of fault points, for one that wants the row
    which most commands have wanted: a holder whose row nobody else wants shows nothing.

    Attributes:
        point: `begin`, `loaded`, `saved` or `committed`, see `SqlStore`.
        signal: SIGSTOP or SIGKILL, as a number.
    """

    point: str
    signal: int


@dataclass(frozen=True, slots=True)
class Count:
    """Reply: the `Counters`.

    Attributes:
        begin_anew: the most that was in the queues is looked for from now on.
    """

    begin_anew: bool = False


@dataclass(frozen=True, slots=True)
class Close:
    """Close what is open, in order. Reply: None."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The reply to a message that could not be carried out."""

    text: str


@dataclass(frozen=True, slots=True)
class Counters:
    """What a process holds now, by name (tasks, threads, files, …), and what it has done and used since its start.

    Attributes:
        held: what must be back to where it was when no request is open.
        highest: of queues: the most that were in them since they were last begun anew.
        partitions: of the log that it reads.
        cpu_s: processor time, in seconds.
        stats: counters of its store, for whoever looks while the load runs.
        error: with which its log worker has ended; empty: it has not.
    """

    held: Mapping[str, int]
    highest: Mapping[str, int] = field(default_factory=dict)
    partitions: tuple[int, ...] = ()
    cpu_s: float = 0.0
    stats: Mapping[str, int] = field(default_factory=dict)
    error: str = ""


class Channel(asyncio.Protocol):
    """One end of the wire.

    Args:
        received: called with the number and the value of each message.
        closed: called once, when the other end is gone.
    """

    def __init__(self, received: Callable[[int, Any], None], closed: Callable[[], None]) -> None:
        self._received, self._closed = received, closed
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one, and no subclass
        self._transport.set_write_buffer_limits(high=MAX_BYTES)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= LENGTH_BYTES:
            end = at + LENGTH_BYTES + int.from_bytes(self._buffer[at : at + LENGTH_BYTES], "big")
            if len(self._buffer) < end:
                break
            number, value = pickle.loads(self._buffer[at + LENGTH_BYTES : end])  # noqa: S301 - from our own process
            at = end
            self._received(number, value)
        del self._buffer[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._transport = None
        self._closed()

    def send(self, number: int, value: Any) -> bool:
        """Send a message; False if the other end is gone."""
        if self._transport is None or self._transport.is_closing():
            return False
        data = pickle.dumps((number, value), pickle.HIGHEST_PROTOCOL)
        self._transport.write(len(data).to_bytes(LENGTH_BYTES, "big") + data)
        return True

    def close(self) -> None:
        """Close the wire, what is buffered last."""
        if self._transport is not None:
            self._transport.close()
