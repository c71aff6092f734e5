"""Every gateway by name. Adding one is one file and one entry here."""

from collections.abc import Callable
from typing import Final, NamedTuple

from stockade.core import NotSupported
from stockade.gateways.gateway import Gateway
from stockade.gateways.http_client import Limits


class GatewayKeys(NamedTuple):
    """What opens a gateway.

    Attributes:
        secret_key: of the merchant.
        webhook_secrets: that sign notifications.
        url: of the API; empty for the gateway's own.
        limits: of the calls.
    """

    secret_key: str
    webhook_secrets: tuple[str, ...] = ()
    url: str = ""
    limits: Limits = Limits()


def _toss(keys: GatewayKeys) -> Gateway:
    from stockade.gateways.toss import URL, Toss

    return Toss(keys.secret_key, url=keys.url or URL, limits=keys.limits)


def _stripe(keys: GatewayKeys) -> Gateway:
    from stockade.gateways.stripe import Stripe

    return Stripe(keys.secret_key, webhook_secrets=keys.webhook_secrets, url=keys.url, limits=keys.limits)


def _test(keys: GatewayKeys) -> Gateway:
    from stockade.gateways.testing import KEY, PrivateGateway

    return PrivateGateway(KEY, url=keys.url, limits=keys.limits)


TEST: Final = "test"  # charges nobody
GATEWAYS: dict[str, Callable[[GatewayKeys], Gateway]] = {"toss": _toss, "stripe": _stripe, TEST: _test}


def create(name: str, keys: GatewayKeys) -> Gateway:
    """The gateway of a name.

    Args:
        name: one of `GATEWAYS`.
        keys: what opens it.

    Raises:
        ValueError: no such gateway, or a key is missing.
        NotSupported: its package is not installed; the message names the extra.
    """
    if name not in GATEWAYS:
        raise ValueError(f"unknown gateway {name!r:.40}; known are {', '.join(GATEWAYS)}")
    try:
        return GATEWAYS[name](keys)
    except ModuleNotFoundError as error:
        raise NotSupported(f"the gateway {name} needs {error.name}: pip install 'stockade[payments]'") from error
