"""The event loop as a driver sees it: names are looked up in time, and once for each of its connections.

A loop's own `create_connection` looks a name up in a thread that nothing can cancel, and that the interpreter waits for
at its end: a silent name server holds the process. The drivers give a name to the loop and check the certificate by
it, so what is changed is the loop. Neighbours: `resolve.py`; `postgres.py` and `mysql.py` hand it to their drivers.
"""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from stockade.drivers.resolve import places_async


class TimelyLoop:
    """The running loop, for one connection of a driver, with another `create_connection`.

    Args:
        limit_s: longest time in seconds to look a name up and connect.
    """

    def __init__(self, limit_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._limit_s = limit_s
        self._found: tuple[Any, str] | None = None  # (host and port, the address that answered)
        self.create_future = loop.create_future  # used in each call
        self.time = loop.time

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def __eq__(self, other: object) -> bool:  # drivers ask asyncio for the current task of their loop
        return other is self._loop or other is self

    def __hash__(self) -> int:
        return hash(self._loop)

    async def create_connection(
        self, protocol: Callable[[], Any], host: str | None = None, port: int = 0, **more: Any
    ) -> tuple[Any, Any]:
        """As the loop's; a second connection to the same host (a request to cancel) goes to the address of the first.

        Raises:
            TimeoutError: the name server, or every address, was silent for `limit_s`.
            OSError: there is no such name, or none of its addresses took the connection.
        """
        if host is None:  # over a socket that is there
            return await self._loop.create_connection(protocol, **more)
        if more.get("ssl"):
            more.setdefault("server_hostname", host)
        async with asyncio.timeout(self._limit_s):
            return await self._first(protocol, await self._addresses(host, port), (host, port), more)

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        if self._found is not None and self._found[0] == (host, port):
            return [self._found[1]]
        return [each.sockaddr[0] for each in await places_async(host, port)]

    async def _first(
        self, protocol: Callable[[], Any], addresses: Sequence[str], asked: tuple[str, int], more: dict[str, Any]
    ) -> tuple[Any, Any]:
        """The first address that answers; each gets its share of the time."""
        end = monotonic() + self._limit_s
        for number, address in enumerate(addresses):
            try:
                async with asyncio.timeout((end - monotonic()) / (len(addresses) - number)):
                    made = await self._loop.create_connection(protocol, address, asked[1], **more)
            except OSError:  # TimeoutError is one
                if number + 1 == len(addresses):
                    raise
            else:
                self._found = (asked, address)
                return made
        raise OSError(f"the name {asked[0]} has no address")
