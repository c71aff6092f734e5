"""How a child process lets go of its copies of its parent's sockets, and how a session of a stopped loop is ended.

A copy would keep a session alive on the server when the parent dies, and a driver's finalizer in the child would send
a goodbye over it. So each copied descriptor is replaced by the null device.
"""

import contextlib
import os
import socket
from typing import Any


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


def let_go(transport: Any) -> None:
    """In the child of a fork: replace the copy of the parent's socket by the null device."""
    number = descriptor(transport)
    if number >= 0:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, number, inheritable=False)
        os.close(null)
