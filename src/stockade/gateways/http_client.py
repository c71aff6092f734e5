"""HTTP calls to a gateway: few connections, a limit for each step and for the whole, no retries, bounded replies.

HTTPX is imported where a gateway is opened: a shop without one does not need it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stockade.gateways.gateway import Unknown

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

    def client(self, **options: Any) -> "httpx.AsyncClient":
        """A client within these limits. It follows no redirect and takes no proxy from the environment."""
        import httpx

        from stockade.gateways.connections import Connections

        return httpx.AsyncClient(
            transport=Connections(self.connections),
            timeout=httpx.Timeout(self.reply_s, connect=self.connect_s, pool=self.call_s),
            follow_redirects=False,
            trust_env=False,
            **options,
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply: its status and its body."""

    status: int
    body: bytes


async def call(
    client: "httpx.AsyncClient",
    limits: Limits,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str],
    content: bytes | None,
) -> Reply | Unknown:
    """Send one request, once.

    Args:
        client: of `Limits.client`, with a base URL.
        limits: of that client.
        method: GET or POST.
        path: below the base URL.
        headers: of the request.
        content: its body.

    Returns:
        The reply, or `Unknown` whatever went wrong.
    """
    import httpx

    try:
        async with asyncio.timeout(limits.call_s), client.stream(method, path, headers=headers, content=content) as got:
            body = b""
            async for chunk in got.aiter_bytes():
                body += chunk
                if len(body) > MAX_REPLY_BYTES:
                    return Unknown(f"a reply of more than {MAX_REPLY_BYTES:,} bytes")
            return Reply(got.status_code, body)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        return Unknown(f"not connected: {type(error).__name__}", sent=False)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
        return Unknown(f"no reply: {type(error).__name__}")
