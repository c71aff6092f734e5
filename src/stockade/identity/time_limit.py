"""One limit of time for a connection: for its addresses, a proxy's tunnel, the TLS handshake and all that is read.

The time-out of a socket is for one read only: a server that sends byte after byte never meets it. Neighbour: `fetch`.
"""

import socket
import threading
import time
from types import TracebackType
from typing import Any, Self


class TimeLimit:
    """Ends the connection that it makes when its time is over, whatever the connection does then.

    Args:
        wait_s: the time in seconds, from here on. A name server may add its own.
    """

    def __init__(self, wait_s: float) -> None:
        self._end_s = time.monotonic() + wait_s
        # a second handle of the connection: in a TLS handshake the first one changes its owner
        self._handle: socket.socket | None = None
        self._watchdog = threading.Timer(wait_s, self._shut_down)
        self._watchdog.daemon = True

    def __enter__(self) -> Self:
        self._watchdog.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._watchdog.cancel()
        self._watchdog.join()  # it only shuts down; the handle is closed when nobody uses it
        if self._handle is not None:
            self._handle.close()

    def is_over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._end_s

    def connect(self, address: tuple[str, int], *_: Any) -> socket.socket:
        """A connection to the first address that answers; each has an equal part of the time that is left.

        Args:
            address: name and port.

        Raises:
            OSError: no address answers in time.
        """
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
        reason = OSError(f"{address[0]} has no address")
        for tried, (family, kind, protocol, _name, place) in enumerate(found):
            try:
                opened = socket.socket(family, kind, protocol)
            except OSError as error:  # this machine does not have the family
                reason = error
                continue
            try:
                opened.settimeout(self._left_s() / (len(found) - tried))
                opened.connect(place)
                opened.settimeout(self._left_s())
                self._handle = opened.dup()
                self._left_s()  # the watchdog may have come before there was a handle
            except OSError as error:
                opened.close()
                reason = error
                continue
            return opened
        raise reason

    def _left_s(self) -> float:
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the time is over")
        return left_s

    def _shut_down(self) -> None:
        handle = self._handle
        if handle is None:
            return  # it connects: `connect` looks at the time
        try:
            handle.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it has ended by itself
