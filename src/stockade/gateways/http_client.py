"""HTTP calls to a gateway: few connections, a limit for each step and for the whole, no retries, bounded replies.

HTTPX is imported where a gateway is opened: a shop without one does not need it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stockade.gateways.gateway import NotAsked, Unknown

if TYPE_CHECKING:
    import httpx

MAX_REPLY_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the calls to a gateway.

    Attributes:
        connections: open at once; further calls wait for one.
        connect_s: the longest wait for a connection to be made, in seconds.
        reply_s: the longest wait for the next bytes of a reply, in seconds.
        call_s: the longest that a whole call may take, waiting for a connection included, in seconds.

    Raises:
        ValueError: a limit is not more than 0.
    """

    connections: int = 50
    connect_s: float = 3.0
    reply_s: float = 30.0
    call_s: float = 35.0

    def __post_init__(self) -> None:
        if self.connections < 1 or min(self.connect_s, self.reply_s, self.call_s) <= 0:
            raise ValueError("limits of a gateway must be more than 0")

    def client(self) -> "httpx.AsyncClient":
        """HTTPX's own client within these limits. It follows no redirect and takes no proxy from the environment."""
        import httpx

        from stockade.gateways.connections import Connections

        return httpx.AsyncClient(
            transport=Connections(self.connections),
            timeout=httpx.Timeout(**self.timeouts()),
            follow_redirects=False,
            trust_env=False,
        )

    def timeouts(self) -> dict[str, float]:
        """The limits of each step by HTTPX's names, in seconds."""
        return {"connect": self.connect_s, "read": self.reply_s, "write": self.reply_s, "pool": self.call_s}


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply: its status and its body."""

    status: int
    body: bytes


class HttpClient:
    """Sends requests to one server, each of them once.

    It stands on the transport of HTTPX. Its client above that has redirects, cookies and log-ins, none of which a
    gateway's adapter wants, and takes a quarter of the time.

    Args:
        url: of the server; paths are added to it.
        limits: of the calls.
        transport: another one than connections to the server, for tests.
    """

    def __init__(self, url: str, limits: Limits, transport: "httpx.AsyncBaseTransport | None" = None) -> None:
        from stockade.gateways.connections import Connections

        self._url, self._limits = url.rstrip("/"), limits
        self._extensions = {"timeout": limits.timeouts()}
        self._transport = transport or Connections(limits.connections)

    async def call(
        self, method: str, path: str, *, headers: Mapping[str, str], content: bytes | None = None
    ) -> Reply | Unknown:
        """Send one request.

        Args:
            method: GET or POST.
            path: below the URL, with its slash.
            headers: of the request.
            content: its body.

        Returns:
            The reply, or `Unknown` whatever went wrong; `NotAsked` if nothing of the request was sent.
        """
        import httpx

        sent = {"accept": "*/*", "user-agent": "stockade", **headers}
        try:
            url = f"{self._url}{path}"
            request = httpx.Request(method, url, headers=sent, content=content, extensions=self._extensions)
            async with asyncio.timeout(self._limits.call_s):
                response = await self._transport.handle_async_request(request)
                try:
                    return await _read(response)
                finally:
                    await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return NotAsked(f"not connected: {type(error).__name__}")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            return Unknown(f"no reply: {type(error).__name__}")

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


async def _read(response: "httpx.Response") -> Reply | Unknown:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_REPLY_BYTES:
            return Unknown(f"a reply of more than {MAX_REPLY_BYTES:,} bytes")
    return Reply(response.status_code, body)
