"""One request on one connection, in three steps: prepare, release, response. The syntax of HTTP/1.1 is h11's.

Neighbours: `stream.py` carries the bytes; `steps/release.py` releases many at the same moment, `exchange` sends one at
once for everything around the race.
"""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import h11

from stockade.race.errors import RaceError
from stockade.race.http.address import Address
from stockade.race.http.stream import Stream

MOST_BYTES = 4 * 1024 * 1024  # of a body
_AGENT = "stockade-race"


@dataclass(frozen=True, slots=True)
class Message:
    """A request, ready to be sent.

    Attributes:
        method: of HTTP.
        path: with its query.
        headers: without Host and Content-Length.
        body: its bytes.
    """

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Response:
    """What came back."""

    status: int
    body: bytes

    def document(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.body)


class Connection:
    """A connection for one request.

    Args:
        stream: connected.
        address: its other end.

    Attributes:
        heard: whether anything came back, the end of the connection included.
    """

    def __init__(self, stream: Stream, address: Address) -> None:
        self._stream, self._address = stream, address
        self._http = h11.Connection(h11.CLIENT)
        self._held = b""
        self.heard = False

    @classmethod
    async def open(cls, address: Address) -> "Connection":
        """Connect.

        Raises:
            OSError: it could not.
        """
        return cls(await Stream.open(address), address)

    async def prepare(self, message: Message) -> None:
        """Send all but the last byte of the head, which ends with an empty line, and nothing of the body.

        Many servers begin when the head is complete, and read the body later or never. So it is the head that must
        not be complete.

        Args:
            message: the request.

        Raises:
            OSError: the connection is broken.
        """
        head, body = self._encode(message)
        data = self._stream.encoded(head)
        self._held = data[-1:] + (self._stream.encoded(body) if body else b"")
        await self._stream.send(data[:-1])

    def release(self) -> None:
        """Send what was held back: one system call. What the socket does not take `finish` sends.

        Raises:
            OSError: the connection is broken.
        """
        with suppress(BlockingIOError):  # its buffer is full: nothing is sent yet
            self._held = self._held[self._stream.socket.send(self._held) :]

    @property
    def has_rest(self) -> bool:
        """Whether the socket did not take all that was held back."""
        return bool(self._held)

    async def finish(self) -> None:
        """Send the rest of a body that was larger than the buffer of the socket.

        Raises:
            OSError: the connection is broken.
        """
        rest, self._held = self._held, b""
        await self._stream.send(rest)

    async def send(self, message: Message) -> None:
        """Send all of a request.

        Raises:
            OSError: the connection is broken.
        """
        await self._stream.send(self._stream.encoded(b"".join(self._encode(message))))

    async def response(self) -> Response:
        """The answer.

        Raises:
            OSError: the connection is broken, or what came is no HTTP (ConnectionError).
        """
        status, body = 0, bytearray()
        while True:  # until the end of the message; the caller's time limit and MOST_BYTES bound it
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise ConnectionError(f"no answer of HTTP: {error}") from None
            if event is h11.NEED_DATA:
                data = await self._stream.receive()
                self.heard = True
                self._http.receive_data(data)
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MOST_BYTES:
                    raise ConnectionError(f"the answer has more than {MOST_BYTES:,} bytes")
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                return Response(status, bytes(body))
            elif event is h11.PAUSED:
                raise ConnectionError("the server speaks another protocol than HTTP/1.1")

    def close(self) -> None:
        """End the connection."""
        self._stream.close()

    def _encode(self, message: Message) -> tuple[bytes, bytes]:
        """Its head and its body."""
        given = {name.lower() for name, _ in message.headers}
        headers = [*message.headers]
        headers += [(name, value) for name, value in self._usual(message) if name.lower() not in given]
        try:
            head = h11.Request(method=message.method, target=self._address.base + message.path, headers=headers)
            first = self._http.send(head) or b""
            return first, b"".join(
                self._http.send(event) or b"" for event in (h11.Data(data=message.body), h11.EndOfMessage())
            )
        except (h11.LocalProtocolError, UnicodeEncodeError) as error:
            raise RaceError(f"{message}: is no request of HTTP: {error}") from None

    def _usual(self, message: Message) -> list[tuple[str, str]]:
        length = [("Content-Length", str(len(message.body)))] if message.body or message.method != "GET" else []
        return [("Host", self._address.host), ("User-Agent", _AGENT), ("Connection", "close"), *length]


async def exchange(address: Address, message: Message, timeout_s: float) -> Response:
    """Send one request and wait for its answer.

    Args:
        address: of the target.
        message: the request.
        timeout_s: longest time in seconds.

    Raises:
        RaceError: there is no answer; one line that says why.
    """
    try:
        async with asyncio.timeout(timeout_s):
            connection = await Connection.open(address)
            try:
                await connection.send(message)
                return await connection.response()
            finally:
                connection.close()
    except TimeoutError:
        raise RaceError(f"{message}: {address.url} gave no answer within {timeout_s:g} s") from None
    except OSError as error:
        raise RaceError(f"{message}: {address.url} gave no answer: {error.strerror or error}") from None
