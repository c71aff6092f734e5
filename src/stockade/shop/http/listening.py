"""The listening socket, bound before any process starts, so that a taken port is one clear line.

Neighbours: the command line binds; `server` and `supervisor` use it.
"""

import socket

from stockade.shop.settings import BadSetting, Settings

BACKLOG = 4_096


def bind(settings: Settings) -> socket.socket:
    """The listening socket of the settings' host and port.

    Raises:
        BadSetting: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        raise BadSetting(f"host = {settings.host!r}, port = {settings.port}: cannot listen there: {error}") from None
