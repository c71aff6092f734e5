"""The listening socket, bound before any serving process starts, so that a port in use is one clear line.

Neighbours: the command line binds it; `server` and `supervisor` use it; `port_holder` finds who uses the port.
"""

import errno
import os
import socket

from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.http.server.port_holder import port_holder

BACKLOG = 4_096


def bind(settings: Settings) -> socket.socket:
    """The listening socket of the settings' host and port.

    Raises:
        BadSetting: the address cannot be bound; the message says which process uses it, or what else is wrong, and what
            to do.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        chosen = settings.with_value(host=settings.host, port=settings.port)
        raise BadSetting(f"{chosen}: cannot listen there: {_why(error, settings)}") from None


def _why(error: Exception, settings: Settings) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        who = port_holder(settings.port)
        used = who or "another process (of another user, or just ending)"
        return f"the port is in use by {used}; stop it, or choose another port with --port (0 takes a free one)"
    if number in (errno.EACCES, errno.EPERM):
        return "only root may listen below port 1024; choose a higher one with --port"
    if number == errno.EADDRNOTAVAIL:
        return "this machine has no such address; with --host choose one of its own, or 0.0.0.0 for all of them"
    if number is None or number < 0:  # a name that could not be looked up; `create_server` wraps the error
        return "this name has no address; with --host name an address of this machine, or 0.0.0.0 for all of them"
    return os.strerror(number)
