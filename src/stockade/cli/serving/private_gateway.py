"""The gateway of `stockade serve --gateway test`: a server beside the shop that charges nobody, and ends with it.

Neighbours: `serve` starts it, `devservers.gateway` is the server.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stockade.shop.config.settings import Settings

NAME = "test"
_OWN = ("gateway_secret", "gateway_secret_file", "gateway_url")


@contextmanager
def private_gateway(settings: "Settings") -> Iterator["Settings"]:
    """Start the gateway, and end it afterwards.

    Args:
        settings: those in force.

    Yields:
        The settings that lead to it.

    Raises:
        BadSetting: the settings have a key or an address, so they are meant for another gateway; or it did not start.
    """
    from stockade.devservers import ServerFailed, Servers
    from stockade.shop.config.settings import BadSetting

    if given := [name for name in _OWN if getattr(settings, name)]:
        why = "--gateway test has a key and an address of its own; it is not for payments of buyers"
        raise BadSetting(f"{settings.with_source(*given)}: {why}")
    with Servers() as servers:
        try:
            gateway = servers.gateway()
        except ServerFailed as error:
            raise BadSetting(f"--gateway test: {error}") from None
        yield replace(settings, gateway=NAME, gateway_url=gateway.url)


def report_to(settings: "Settings", shop: str) -> None:
    """Have the gateway send its notifications to the shop.

    Args:
        settings: of `private_gateway`.
        shop: the URL of the shop.
    """
    from stockade.devservers.gateway import GatewayClient

    GatewayClient(settings.gateway_url).behave(webhook_url=f"{shop}/v1/pg/webhooks/{NAME}")


def how_to_pay(settings: "Settings", shop: str) -> list[str]:
    """What to type to pay an order, for people at a terminal.

    Args:
        settings: of `private_gateway`.
        shop: the URL of the shop.
    """
    from stockade.core.secrets import hide_password

    program = "./stockade" if os.access("stockade", os.X_OK) and Path("stockade").is_file() else "stockade"
    folder = f" --set state_dir={quote(settings.state_dir)}" if settings.state_dir != type(settings)().state_dir else ""
    database = "" if settings.uses_default_database else f" --database {quote(hide_password(settings.database_url))}"
    ask = f"""ask() {{ curl -s "{shop}$1" -H "Authorization: Bearer $({program} token user-1{folder})" """
    gateway = f" --set gateway={NAME} --set gateway_url={settings.gateway_url}"
    return [
        "the test gateway charges nobody; in another terminal:",
        f"  {program} demo{folder}{database}",
        f"""  {ask}-H "Idempotency-Key: $2" -H 'Content-Type: application/json' -d "$3"; echo; }}""",
        """  ask /v1/orders order-1 '{"lines":[{"sku_id":"sku-1","quantity":2}],"pay":"LATER"}'""",
        """  ask /v1/orders/ORDER_ID/payments pay-1 '{"method":"PG","payment_key":"card-1","amount":TOTAL}'""",
        "compare the books, while it runs:",
        f"  {program} payments reconcile --report{gateway}{folder}{database}",
    ]
