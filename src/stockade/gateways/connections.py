"""The connections to a gateway, each in a pool of HTTPX of its own.

A pool of HTTPX looks through all its connections and all its waiting requests for every request, so the cost of one
call grows with the limit. Here a free connection is at hand, and who finds none waits in order. Neighbours:
`http_client.Limits` makes the client over this.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import httpx

IDLE_S: Final = 4.0  # servers close after 5 s and more; a request that meets the close is lost, and its outcome unknown


class Connections(httpx.AsyncBaseTransport):
    """At most so many connections. Each is used again within `IDLE_S` seconds, and the last one used is used next.

    Args:
        most: open at once.
    """

    def __init__(self, most: int) -> None:
        self._verify = httpx.create_ssl_context(trust_env=False)  # one for all: it reads all certificates
        self._slots = asyncio.Semaphore(most)
        self._free: list[httpx.AsyncHTTPTransport] = []
        self._all: list[httpx.AsyncHTTPTransport] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; its connection is free again when the response is closed.

        Raises:
            httpx.PoolTimeout: none was free in time.
        """
        await self._take_slot(request)
        connection = self._free.pop() if self._free else self._open()
        try:
            response = await connection.handle_async_request(request)
        except BaseException:
            self._give_back(connection)
            raise
        response.stream = _Stream(response.stream, lambda: self._give_back(connection))
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        for each in self._all:
            await each.aclose()

    async def _take_slot(self, request: httpx.Request) -> None:
        if not self._slots.locked():
            await self._slots.acquire()  # at once
            return
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("pool")):
                await self._slots.acquire()
        except TimeoutError as error:
            raise httpx.PoolTimeout("no connection to the gateway was free in time", request=request) from error

    def _open(self) -> httpx.AsyncHTTPTransport:
        limits = httpx.Limits(max_connections=1, keepalive_expiry=IDLE_S)
        made = httpx.AsyncHTTPTransport(verify=self._verify, trust_env=False, limits=limits)
        self._all.append(made)
        return made

    def _give_back(self, connection: httpx.AsyncHTTPTransport) -> None:
        self._free.append(connection)
        self._slots.release()


class _Stream(httpx.AsyncByteStream):
    """The body of a response; at its end the connection is given back, once."""

    def __init__(self, stream: Any, give_back: Callable[[], None]) -> None:
        self._stream, self._give_back = stream, give_back
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            await self._stream.aclose()
        finally:
            self._give_back()
