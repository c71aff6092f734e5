"""The payment gateway that the settings name, its keys and its currency. Nothing here connects to it.

Neighbours: `strategy_choice` checks before anything is opened, `bootstrap` opens the gateway.
"""

import os
import re
import stat
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from stockade.core import NotSupported
from stockade.gateways import Gateway
from stockade.gateways.http_client import Limits
from stockade.gateways.money import DECIMALS
from stockade.gateways.registry import GATEWAYS, TEST, GatewayKeys, create
from stockade.shop.config.settings import BadSetting, Settings

NONE: Final = "none"
MAX_KEY_BYTES: Final = 2_000
_URL = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[^\s/@:\[\]?#]+)(:\d{1,5})?(/[^\s?#]*)?")


def check_gateway(settings: Settings) -> None:
    """Refuse settings that no gateway can be asked with.

    Raises:
        BadSetting: an unknown gateway or currency, no address, or no key. No message quotes a secret.
    """
    if settings.currency not in DECIMALS:
        raise BadSetting(f"{settings.with_value(currency=settings.currency)}: must be one of {', '.join(DECIMALS)}")
    if settings.gateway not in (NONE, *GATEWAYS):
        known = ", ".join((NONE, *GATEWAYS))
        raise BadSetting(f"{settings.with_value(gateway=settings.gateway)}: must be one of {known}")
    _check_url(settings)
    if settings.gateway_secret and settings.gateway_secret_file:
        both = settings.with_source("gateway_secret", "gateway_secret_file")
        raise BadSetting(f"{both}: only one of them can be the key of the gateway")
    if settings.gateway not in (NONE, TEST):
        _key(settings)


def _check_url(settings: Settings) -> None:
    """Refuse an address over which the merchant's key would be readable, and buyers' money where nobody is charged.

    Raises:
        BadSetting: see there.
    """
    url = settings.gateway_url
    named = settings.with_value(gateway_url=url)
    if url and not _URL.fullmatch(url):
        raise BadSetting(f"{named}: must be https://HOST or http://HOST:PORT, without a login")
    own = bool(url) and _is_this_machine(urlsplit(url).hostname or "")
    if url.startswith("http://") and not own:
        raise BadSetting(
            f"{named}: must be https://, because the merchant's key is sent there; http:// is for 127.0.0.1"
        )
    if settings.gateway != TEST:
        return
    if given := [name for name in ("gateway_secret", "gateway_secret_file") if getattr(settings, name)]:
        raise BadSetting(
            f"{settings.with_source(*given)}: the gateway test takes no key; it is not for payments of buyers"
        )
    if not own:
        where = (
            "gateway_url must be the address of a running one: `stockade serve --gateway test` starts it and prints it"
        )
        raise BadSetting(f"{settings.with_value(gateway=TEST)}: {where}")


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def gateway_of(settings: Settings) -> Gateway | None:
    """The gateway; None: the setting is `none`.

    Raises:
        BadSetting: as `check_gateway`.
        NotSupported: a package is missing; the message names the extra.
    """
    check_gateway(settings)
    if settings.gateway == NONE:
        return None
    secrets = tuple(each.strip() for each in settings.gateway_webhook_secrets.split(",") if each.strip())
    limits = Limits(connections=settings.gateway_connections, call_s=settings.gateway_call_s)
    key = "" if settings.gateway == TEST else _key(settings)
    try:
        return create(settings.gateway, GatewayKeys(key, secrets, settings.gateway_url, limits))
    except NotSupported:
        raise
    except ValueError as error:
        raise BadSetting(f"{settings.with_value(gateway=settings.gateway)}: {error}") from None


def _key(settings: Settings) -> str:
    """The merchant's key.

    Raises:
        BadSetting: there is none, or its file cannot be used.
    """
    if settings.gateway_secret:
        return settings.gateway_secret
    if not settings.gateway_secret_file:
        named = settings.with_value(gateway=settings.gateway)
        raise BadSetting(f"{named}: gateway_secret_file or gateway_secret must have the merchant's key")
    named = settings.with_source("gateway_secret_file")
    try:
        with Path(settings.gateway_secret_file).expanduser().open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            raw = opened.read(MAX_KEY_BYTES + 1)
        key = raw.decode("ascii").strip()
    except OSError as error:
        raise BadSetting(f"{named}: cannot read it: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadSetting(f"{named}: it is no ASCII text") from None
    if mode & 0o077:
        raise BadSetting(f"{named}: it can be read by others (mode {mode:o}): run chmod 600 on it")
    if not key or not key.isprintable() or len(raw) > MAX_KEY_BYTES:
        raise BadSetting(f"{named}: it must have one key in one line")
    return key
