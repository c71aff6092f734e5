"""The listening socket, bound before any serving process starts, so that a port in use is one clear line.

Neighbours: the command line binds it; `server` and `supervisor` use it; `port_holder` finds who uses the port.
"""

import errno
import os
import socket

from stockade.shop.config.addresses import Address, metrics_address
from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.http.server.port_holder import port_holder
from stockade.shop.operations.logs import logger

BACKLOG = 4_096


def bind(settings: Settings) -> socket.socket:
    """The listening socket of the settings' host and port.

    Raises:
        BadSetting: the address cannot be bound; the message says which process uses it, or what else is wrong, and what
            to do.
    """
    chosen = settings.with_value(host=settings.host, port=settings.port)
    return _bind(Address(settings.host, settings.port), chosen)


def bind_all(settings: Settings) -> list[socket.socket]:
    """The listening socket of the API, and behind it that of the metrics where it has an address of its own.

    Raises:
        BadSetting: as `bind`.
    """
    listening = [bind(settings)]
    try:
        metrics = bind_metrics(settings)
    except BadSetting:
        listening[0].close()
        raise
    return listening if metrics is None else [*listening, metrics]


def bind_metrics(settings: Settings) -> socket.socket | None:
    """The listening socket of the metrics where they have an address of their own.

    Raises:
        BadSetting: as `bind`, or `metrics_address` is no host:port.
    """
    address = metrics_address(settings)
    if address is None:
        return None
    bound = _bind(address, settings.with_value(metrics_address=settings.metrics_address), "metrics_address")
    logger().info("metrics", host=address.host, port=bound.getsockname()[1])
    return bound


def _bind(address: Address, chosen: str, setting: str = "--port") -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        raise BadSetting(f"{chosen}: cannot listen there: {_why(error, address.port, setting)}") from None


def _why(error: Exception, port: int, setting: str) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        who = port_holder(port)
        used = who or "another process (of another user, or just ending)"
        return f"the port is in use by {used}; stop it, or choose another port with {setting} (0 takes a free one)"
    if number in (errno.EACCES, errno.EPERM):
        return f"only root may listen below port 1024; choose a higher one with {setting}"
    if number == errno.EADDRNOTAVAIL:
        return "this machine has no such address; with --host choose one of its own, or 0.0.0.0 for all of them"
    if number is None or number < 0:  # a name that could not be looked up; `create_server` wraps the error
        return "this name has no address; with --host name an address of this machine, or 0.0.0.0 for all of them"
    return os.strerror(number)
