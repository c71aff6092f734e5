"""What a child process does with its parent's sockets: it lets go of its copies, so that they are the parent's alone.

A copy would keep a session alive on the server when the parent dies. A driver's finalizer in the child would say
goodbye on it. So each copied descriptor is replaced by the null device.
"""

import contextlib
import os
import socket
import weakref
from typing import Any, Protocol


class HasTransport(Protocol):
    """Something that talks through an asyncio transport."""

    @property
    def transport(self) -> Any:
        """None when it is closed."""
        ...


_owners: "weakref.WeakSet[HasTransport]" = weakref.WeakSet()


def belongs_here(owner: HasTransport) -> None:
    """Let go of its socket in every child of this process."""
    _owners.add(owner)


def descriptor(transport: Any) -> int:
    """The file descriptor of a transport's socket; -1 where it has none any more."""
    found = transport.get_extra_info("socket") if transport is not None else None
    return -1 if found is None else int(found.fileno())


def shut(transport: Any) -> None:
    """End a connection whose event loop does not run any more."""
    number = descriptor(transport)
    if number >= 0:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as copy:  # ended already
            copy.shutdown(socket.SHUT_RDWR)


def _let_go() -> None:
    numbers = [number for owner in _owners if (number := descriptor(owner.transport)) >= 0]
    _owners.clear()
    if not numbers:
        return
    null = os.open(os.devnull, os.O_RDWR)
    for number in numbers:
        os.dup2(null, number, inheritable=False)
    os.close(null)


os.register_at_fork(after_in_child=_let_go)
