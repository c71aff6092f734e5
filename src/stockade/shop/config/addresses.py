"""Addresses among the settings: origins of web pages, the address of the metrics, and which is this machine alone.
Nothing is opened here.

Neighbours: `strategy_choice` checks them before anything is opened; `http.routing` and `http.server` use them.
"""

import ipaddress
import re
from typing import NamedTuple

from stockade.shop.config.settings import BadSetting, Settings

# RFC 6454: scheme, host and a port that is not the scheme's own; browsers send it in lower case and without a path
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:\d{1,5})?")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s/@:\[\]]+):(\d{1,5})")
MAX_ORIGINS = 100
MAX_PORT = 65_535


class Address(NamedTuple):
    """A host and a port to listen on."""

    host: str
    port: int


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host: `localhost`, or an address of the loopback interface."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_shop_front(settings: Settings) -> None:
    """Refuse sign-in by one click where other machines could use it, or where tokens come from a provider.

    Raises:
        BadSetting: with the setting that does not fit.
    """
    if settings.shop_front != "demo":
        return
    if not is_loopback(settings.host):
        why = "with shop_front = demo anybody may sign in as anybody, so it must be an address of this machine alone"
        raise BadSetting(f"{settings.with_value(host=settings.host)}: {why}, e.g. 127.0.0.1")
    if settings.token_jwks:
        why = "with shop_front = demo nobody needs a token: leave it out, or use shop_front = yes"
        raise BadSetting(f"{settings.with_source('token_jwks')}: {why}")


def allowed_origins(settings: Settings) -> frozenset[bytes]:
    """The origins of `cors_origins`, as browsers send them.

    Raises:
        BadSetting: one is no origin; `*` is refused, because callers carry tokens.
    """
    origins = [each.strip() for each in settings.cors_origins.split(",") if each.strip()]
    for origin in origins:
        if not _ORIGIN.fullmatch(origin) or len(origins) > MAX_ORIGINS:
            written = settings.with_value(cors_origins=settings.cors_origins)
            must_be = "as browsers send it: https://shop.example or http://localhost:3000, without a path"
            raise BadSetting(f"{written}: must be at most {MAX_ORIGINS} exact origins, each {must_be}")
    return frozenset(origin.encode() for origin in origins)


def metrics_address(settings: Settings) -> Address | None:
    """Where `/metrics` is served alone; None: on the address of the API.

    Raises:
        BadSetting: it is no host:port, or the port of the API.
    """
    if not settings.metrics_address:
        return None
    found = _ADDRESS.fullmatch(settings.metrics_address)
    written = settings.with_value(metrics_address=settings.metrics_address)
    if found is None or int(found[2]) > MAX_PORT:
        raise BadSetting(f"{written}: must be host:port, e.g. 127.0.0.1:9100")
    address = Address(found[1].strip("[]"), int(found[2]))
    if address.port and address.port == settings.port:
        raise BadSetting(f"{written}: must have another port than the API, which has {settings.port}")
    return address
