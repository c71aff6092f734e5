"""Serves `/metrics` and `/healthz` of a process that has no HTTP service of its own: a worker.

One GET for each connection, no more than a scraper sends. Neighbours: `metrics` has the text, the command line starts
this; a service answers on its own routes.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from stockade.shop.operations.metrics import CONTENT_TYPE

MAX_CONNECTIONS = 16  # a further one is closed without an answer
MAX_HEAD_BYTES = 8_192
WAIT_S = 5.0  # for a request, and for its client to read the answer
_METRICS, _HEALTH = b"/metrics", b"/healthz"


class MetricsServer:
    """Answers the connections of one socket.

    Args:
        exposition: returns the text of the metrics as they are now.
    """

    def __init__(self, exposition: Callable[[], bytes]) -> None:
        self._exposition = exposition
        self._open = 0

    @asynccontextmanager
    async def serving(self, listening: socket.socket) -> AsyncIterator[None]:
        """Answer until the end of the block; the socket is closed then.

        Args:
            listening: bound.
        """
        server = await asyncio.start_server(self._connected, sock=listening, limit=MAX_HEAD_BYTES)
        try:
            yield
        finally:
            server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= MAX_CONNECTIONS:
                async with asyncio.timeout(WAIT_S):
                    writer.write(self._answer(await reader.readuntil(b"\r\n\r\n")))
                    await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client is too slow, has gone, or sends no request: it gets no answer
        finally:
            self._open -= 1
            writer.close()

    def _answer(self, head: bytes) -> bytes:
        method, path, *_ = [*head.partition(b"\r\n")[0].split(b" "), b""]
        if method != b"GET" or path not in (_METRICS, _HEALTH):
            return _response(b"404 Not Found", b"text/plain", b"here are only GET /healthz and GET /metrics\n")
        if path == _HEALTH:
            return _response(b"200 OK", b"application/json", b'{"status": "ok"}')
        return _response(b"200 OK", CONTENT_TYPE, self._exposition())


def _response(status: bytes, content_type: bytes, body: bytes) -> bytes:
    lines = (b"HTTP/1.1 " + status, b"Content-Type: " + content_type, b"Content-Length: %d" % len(body))
    return b"\r\n".join((*lines, b"Connection: close", b"", body))
