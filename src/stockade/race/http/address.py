"""The address of the target: its URL, and the rule that it is this machine unless somebody says otherwise.

Neighbours: `connection.py` connects to it. The name is looked up once, so that every connection goes to what was
checked.
"""

import asyncio
import ipaddress
import socket
import ssl
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stockade.race.errors import RaceError

LOOK_UP_S = 10.0
CONNECT_S = 5.0
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect.

    Attributes:
        url: scheme, host and port.
        host: as a request names it.
        family: of the socket.
        place: for `connect`.
        others: (family, place) of the other addresses that the name has, in the order of the resolver.
        base: path before every path of the scenario.
        tls: None: http.
    """

    url: str
    host: str
    family: socket.AddressFamily
    place: tuple[Any, ...]
    base: str = ""
    tls: ssl.SSLContext | None = None
    others: tuple[tuple[socket.AddressFamily, tuple[Any, ...]], ...] = ()

    @property
    def server_name(self) -> str:
        """The name that a certificate must have."""
        return urlsplit(self.url).hostname or ""


async def find(url: str, *, mine: bool, ca_file: str = "") -> Address:
    """Look the target up.

    Args:
        url: `http://host:port` or `https://…`.
        mine: it may be another machine than this one.
        ca_file: certificates to trust; empty: the machine's own.

    Raises:
        RaceError: no such URL, no such host, or another machine without `mine`.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
        host = parts.hostname or ""
    except (ValueError, KeyError):
        raise RaceError(f"{url!r}: must be a URL like http://127.0.0.1:8000") from None
    if not host or parts.username or parts.query or parts.fragment:
        raise RaceError(f"{url!r}: must have a scheme, a host, a port and nothing else, like http://127.0.0.1:8000")
    try:
        async with asyncio.timeout(LOOK_UP_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        raise RaceError(f"{url}: there is no host {host}") from None
    if not mine and not all(ipaddress.ip_address(str(place[0]).partition("%")[0]).is_loopback for *_, place in found):
        raise RaceError(
            f"{url} is another machine: a race is an attack on whoever did not ask for it. "
            "If it is yours, say so: --target-is-mine"
        )
    (family, place), *others = dict.fromkeys((family, place) for family, _, _, _, place in found)
    tls = _context(ca_file) if parts.scheme == "https" else None
    return Address(url, parts.netloc, family, place, parts.path.rstrip("/"), tls, tuple(others))


async def listening(address: Address) -> Address | None:
    """The address with the first place at which something takes connections; None: there is none.

    `localhost` is often ::1 first, where a server on 127.0.0.1 does not listen.

    Args:
        address: each of its places is tried once, for CONNECT_S at most.
    """
    for family, place in ((address.family, address.place), *address.others):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                async with asyncio.timeout(CONNECT_S):
                    await asyncio.get_running_loop().sock_connect(probe, place)
            except (OSError, TimeoutError):  # nobody there: the next one
                continue
        return replace(address, family=family, place=place, others=())
    return None


def _context(ca_file: str) -> ssl.SSLContext:
    if ca_file and not Path(ca_file).is_file():
        raise RaceError(f"target.ca_file: there is no file {ca_file}")
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except ssl.SSLError as error:
        raise RaceError(f"target.ca_file: {ca_file} has no certificates ({error.reason})") from None
    context.set_alpn_protocols(["http/1.1"])
    return context
