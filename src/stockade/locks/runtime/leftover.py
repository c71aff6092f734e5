"""Sockets that a closed event loop has left open. The loop closes nothing any more, and a garbage collector that finds
such a socket warns of it, much later and elsewhere: so a provider's first call in another loop closes them.
"""

import contextlib
from typing import Any


def end(transport: Any) -> None:
    """Close the socket under a transport of asyncio whose event loop is closed. None, or one that is closed already, is
    left alone; uvloop has closed its own with the loop.
    """
    if transport is None:
        return
    with contextlib.suppress(RuntimeError):  # the loop is closed: only the transport's own state changes
        transport.abort()
    tls = getattr(transport, "_ssl_protocol", None)
    raw = transport if tls is None else tls._transport  # noqa: SLF001 - asyncio has no public way to either
    sock = getattr(raw, "_sock", None)
    if sock is not None:
        sock.close()
        raw._sock = None  # noqa: SLF001 - what its finalizer looks at
