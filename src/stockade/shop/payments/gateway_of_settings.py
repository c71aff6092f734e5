"""The gateway that the settings name."""

from pathlib import Path
from typing import Final

from stockade.core import NotSupported
from stockade.gateways import Gateway
from stockade.gateways.http_client import Limits
from stockade.gateways.money import DECIMALS
from stockade.gateways.registry import GATEWAYS, GatewayKeys, create
from stockade.shop.config.settings import BadSetting, Settings

NONE: Final = "none"


def gateway_of(settings: Settings) -> Gateway | None:
    """The gateway; None: the setting is `none`.

    Raises:
        BadSetting: an unknown gateway or currency, or a key is missing or cannot be read.
        NotSupported: a package is missing; the message names the extra.
    """
    if settings.currency not in DECIMALS:
        raise BadSetting(f"{settings.with_value(currency=settings.currency)}: must be one of {', '.join(DECIMALS)}")
    name = settings.gateway
    if name == NONE:
        return None
    if name not in GATEWAYS:
        raise BadSetting(f"{settings.with_value(gateway=name)}: must be one of {', '.join((NONE, *GATEWAYS))}")
    secrets = tuple(each.strip() for each in settings.gateway_webhook_secrets.split(",") if each.strip())
    limits = Limits(connections=settings.gateway_connections, call_s=settings.gateway_call_s)
    try:
        return create(name, GatewayKeys(_secret_key(settings), secrets, settings.gateway_url, limits))
    except NotSupported:
        raise
    except ValueError as error:
        raise BadSetting(f"{settings.with_value(gateway=name)}: {error}") from None


def _secret_key(settings: Settings) -> str:
    if not settings.gateway_secret_file:
        return settings.gateway_secret
    try:
        return Path(settings.gateway_secret_file).expanduser().read_text().strip()
    except OSError as error:
        raise BadSetting(f"{settings.with_source('gateway_secret_file')}: cannot read it: {error.strerror}") from None
