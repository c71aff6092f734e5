"""One request on one connection, in three steps: prepare, release, response. The syntax of HTTP/1.1 is h11's.

Neighbours: `stream.py` carries the bytes; `steps/release.py` releases many at the same moment, `exchange` sends one at
once for everything around the race.
"""

import asyncio
import json
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
    """

    def __init__(self, stream: Stream, address: Address) -> None:
        self._stream, self._address = stream, address
        self._http = h11.Connection(h11.CLIENT)
        self._last = b""

    @classmethod
    async def open(cls, address: Address) -> "Connection":
        """Connect.

        Raises:
            OSError: it could not.
        """
        return cls(await Stream.open(address), address)

    async def prepare(self, message: Message) -> None:
        """Send all but the last byte.

        Args:
            message: the request.

        Raises:
            OSError: the connection is broken.
        """
        data = self._stream.encoded(self._encode(message))
        self._last = data[-1:]
        await self._stream.send(data[:-1])

    def release(self) -> None:
        """Send the last byte: one system call.

        Raises:
            OSError: the connection is broken.
        """
        self._stream.socket.send(self._last)

    async def send(self, message: Message) -> None:
        """Send all of a request.

        Raises:
            OSError: the connection is broken.
        """
        await self._stream.send(self._stream.encoded(self._encode(message)))

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
                self._http.receive_data(await self._stream.receive())
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

    def _encode(self, message: Message) -> bytes:
        given = {name.lower() for name, _ in message.headers}
        headers = [*message.headers]
        headers += [(name, value) for name, value in self._usual(message) if name.lower() not in given]
        try:
            head = h11.Request(method=message.method, target=self._address.base + message.path, headers=headers)
            events = [head, h11.Data(data=message.body), h11.EndOfMessage()]
            return b"".join(self._http.send(event) or b"" for event in events)
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
