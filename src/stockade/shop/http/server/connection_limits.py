"""Limits of a connection before its request has begun: time, bytes, number of headers and number of connections.

uvicorn limits none of these: a client that sends a byte of a header now and then would keep a connection for ever
("slowloris"), and an endless head would fill the memory. Neighbours: `buffered_protocol` is the base; `server` passes
this protocol to uvicorn.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from stockade.shop.http.responses.problems import problem, retry_after
from stockade.shop.http.responses.response import Headers
from stockade.shop.http.server.buffered_protocol import BufferedProtocol


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits.

    Attributes:
        connections: open ones in this process.
        head_wait_s: from the opening of the connection, or from the first byte of a further request, to the end of
            its headers, in seconds.
        head_bytes: of the request line and the headers.
        headers: of one request.
    """

    connections: int
    head_wait_s: float
    head_bytes: int
    headers: int


class HeadRejected(Exception):
    """Stops the parser, which then calls `send_400_response`."""


class LimitedProtocol(BufferedProtocol):
    """Closes connections that exceed their limits, with an error response where that is possible.

    A request that arrives in one piece, as most do, needs no timer.

    Args:
        limits: of every connection.
        uvicorn_args: as uvicorn's.
    """

    def __init__(self, *, limits: ConnectionLimits, **uvicorn_args: Any) -> None:
        super().__init__(**uvicorn_args)
        self._limits = limits
        self._in_head = False
        self._head_bytes = 0  # received of an unfinished head
        self._may_be_large = False  # whether the size of a complete head has to be measured
        self._timer: asyncio.TimerHandle | None = None
        self._why: tuple[str, str] | None = None  # the code and the detail of a refused head

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            self._refuse("TOO_MANY_CONNECTIONS", f"this process serves {self._limits.connections:,} connections", 1)
        else:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        before = self._newest
        all_head = self._in_head or before is None or not before.more_body
        self._may_be_large = self._in_head or len(data) > self._limits.head_bytes
        super().data_received(data)
        if self._in_head:
            # where a body or another request came with it, only what was parsed belongs to this head for certain
            self._head_bytes += len(data) if all_head and self._newest is before else self._parsed_bytes()
            if self._head_bytes > self._limits.head_bytes:
                self._refuse_head("HEADERS_TOO_LARGE", self._size_text())
            else:
                self._start_timer()
        elif self.timeout_keep_alive_task is None and (cycle := self._newest) is not None and cycle.response_complete:
            self._start_timer()  # the rest of a body that no endpoint reads
        else:
            self._stop_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        if len(self.headers) > self._limits.headers:
            self._why = ("HEADERS_TOO_LARGE", f"a request may have at most {self._limits.headers:,} headers")
            raise HeadRejected
        if self._may_be_large and self._parsed_bytes() > self._limits.head_bytes:
            self._why = ("HEADERS_TOO_LARGE", self._size_text())
            raise HeadRejected
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn when the parser has stopped."""
        code, detail = self._why or ("INVALID_REQUEST", "this is not a request of HTTP/1.1")
        self._in_head = False
        self._refuse_head(code, detail)

    @property
    def _newest(self) -> RequestResponseCycle | None:
        return self.cycle  # None before the first request, whatever its annotation says

    def _size_text(self) -> str:
        return f"the request line and the headers may have at most {self._limits.head_bytes:,} bytes"

    def _parsed_bytes(self) -> int:
        """Bytes of the request line and of the parsed headers."""
        return len(self.url) + sum([len(name) + len(value) + 4 for name, value in self.headers])

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self._limits.head_wait_s, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self._in_head:
            wait_s = self._limits.head_wait_s
            self._refuse_head("HEADER_TIMEOUT", f"the headers did not arrive within {wait_s:g} seconds")
        else:
            self.transport.close()

    def _refuse_head(self, code: str, detail: str) -> None:
        """Send an error response and close; while another response is being written only close after it."""
        self._in_head = False
        self._stop_timer()
        cycle = self._newest
        if cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False
            self.flow.pause_reading()
        else:
            self._refuse(code, detail)

    def _refuse(self, code: str, detail: str, retry_after_s: float | None = None) -> None:
        further: Headers = () if retry_after_s is None else retry_after(retry_after_s)
        reply = problem(code, detail, headers=further)
        headers = [
            *self.server_state.default_headers,
            *reply.headers,
            (b"content-type", reply.media_type),
            (b"content-length", b"%d" % len(reply.body)),
            (b"connection", b"close"),
        ]
        head = b"".join([b"%b: %b\r\n" % header for header in headers])
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[reply.status], head, reply.body))
        self.transport.close()
