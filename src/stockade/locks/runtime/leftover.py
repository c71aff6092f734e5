"""Closes sockets that a closed event loop has left open.

Such a loop closes nothing any more, and the garbage collector warns of the socket much later and elsewhere. So a
provider closes them at its first call in another loop.
"""

import contextlib
from typing import Any


def end(transport: Any) -> None:
    """Close the socket of an asyncio transport whose event loop is closed.

    None, and a transport that is closed already, are left alone. uvloop has closed its own together with the loop.
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
        raw._sock = None  # noqa: SLF001 - its finalizer looks at it
