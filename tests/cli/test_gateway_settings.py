"""The settings of the payment gateway are refused before anything is opened, and no message shows a key."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stockade.gateways.registry import GATEWAYS, GatewayKeys, create
from stockade.shop.bootstrap import open_shop
from stockade.shop.config.payment_gateway import gateway_of
from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.config.strategy_choice import check
from stockade.shop.migrations import SCHEMA
from tests.cli.service import Service, prepared, stockade
from tests.cli.test_serve import alive, place
from tests.shop.conftest import soon
from tests.shop.gateway_shop import with_gateway
from tests.waiting import eventually, eventually_async

KEY = "test_sk_nobody_may_see"
BAD = {
    "an unknown gateway": ({"gateway": "paypal"}, "gateway = 'paypal': must be one of none, toss, stripe, test"),
    "an unknown currency": ({"currency": "WON"}, "currency = 'WON': must be one of KRW, JPY"),
    "no key": ({"gateway": "toss"}, "gateway_secret_file or gateway_secret must have the merchant's key"),
    "two keys": ({"gateway": "toss", "gateway_secret": KEY, "gateway_secret_file": "f"}, "only one of them"),
    "no file": ({"gateway": "toss", "gateway_secret_file": "/nix"}, "gateway_secret_file: cannot read it"),
    "no address": ({"gateway": "toss", "gateway_secret": KEY, "gateway_url": "pg.example"}, "must be https://HOST"),
    "a key on a readable way": (
        {"gateway": "toss", "gateway_secret": KEY, "gateway_url": "http://pg.example"},
        "must be https://, because",
    ),
    "a test gateway elsewhere": ({"gateway": "test", "gateway_url": "https://pg.example"}, "address of a running one"),
    "a test gateway of nowhere": ({"gateway": "test"}, "stockade serve --gateway test"),
    "a test gateway with a key": ({"gateway": "test", "gateway_secret": KEY}, "takes no key"),
    "a login": ({"gateway": "toss", "gateway_secret": "x", "gateway_url": f"https://u:{KEY}@pg.example"}, "without a"),
}


@pytest.mark.parametrize(("settings", "says"), BAD.values(), ids=BAD)
def test_what_no_gateway_can_be_asked_with(settings, says):
    """Each is one sentence that names the setting, and no part of a key."""
    with pytest.raises(BadSetting, match=says) as bad:
        check(Settings(**settings))
    assert "nobody" not in str(bad.value)


async def test_the_test_gateway_leaves_the_payments_of_buyers_alone(tmp_path):
    """Its rows have a name of their own, so no reconciler of another gateway acts on them; it does not start where
    buyers have paid through another one. On a database without payments it starts."""
    assert {create(name, GatewayKeys("k", url="http://127.0.0.1:9")).name for name in GATEWAYS} == set(GATEWAYS)
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    settings = Settings(database=url, gateway="test", gateway_url="http://127.0.0.1:9")
    async with open_shop(settings, jobs=False, before=SCHEMA.migrate) as shop:
        assert shop.payments.gateway.name == "test"
        await shop.database.transaction(with_gateway()[0].fill, deadline=soon())
    with pytest.raises(BadSetting, match="has payments of toss, and this one charges nobody"):
        async with open_shop(settings, jobs=False):
            pass


def test_the_file_of_the_key_is_its_owners_alone(tmp_path):
    """A file that others can read is refused, also one that is empty; the owner's is used, without its line feed."""
    path = tmp_path / "key"
    settings = Settings(gateway="toss", gateway_secret_file=str(path))
    for text, mode, says in ((KEY, 0o640, "chmod 600"), ("\n", 0o600, "one key"), (f"a\n{KEY}", 0o600, "one key")):
        path.write_text(text)
        path.chmod(mode)
        with pytest.raises(BadSetting, match=says) as bad:
            check(settings)
        assert "nobody" not in str(bad.value)
    path.write_text(f"{KEY}\n")
    check(settings)
    assert gateway_of(settings).name == "toss"
    secrets = replace(settings, gateway_secret=KEY, gateway_webhook_secrets=KEY)
    assert "nobody" not in repr(secrets)


def test_a_shop_without_a_gateway_needs_no_package_for_one():
    """Neither HTTPX nor a vendor's package is imported where the setting is none."""
    code = (
        "import sys, stockade.shop.bootstrap, stockade.shop.http.routing.app as a;"
        "sys.exit(bool({'httpx', 'stripe'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["gateway_secret", "gateway_secret_file", "gateway_url"])
def test_the_private_gateway_is_not_for_a_key_of_a_merchant(tmp_path, name):
    """`--gateway test` beside a key or an address of another gateway is a mistake, and nothing starts."""
    refused = stockade(tmp_path, "serve", "--gateway", "test", "--port", "0", **{name: KEY})
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"{name} (from STOCKADE_{name.upper()}): --gateway test has" in refused.stderr
    assert "nobody" not in refused.stderr


async def test_the_private_gateway_serves_all_workers_and_ends_with_them(tmp_path):
    """One gateway for two workers; its lost reply is reported to them and settled; a kill of the service ends it."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    await prepared(url, products=1)
    with Service(tmp_path, "--workers", 2, "--gateway", "test", database=url) as service:
        lines = [service.process.stdout.readline() for _ in range(7)]
        assert f'ask() {{ curl -s "{service.url}$1"' in "".join(lines)
        assert "payments reconcile --report --set gateway=test --set gateway_url=http://127.0.0.1:" in lines[-1]
        async with service.client("user-1") as http:
            order = (await place(http, 1)).json()
            body = {"method": "PG", "payment_key": "fault-lost-reply", "amount": order["total"]}
            path = f"/v1/orders/{order['order_id']}/payments"
            paid = await http.post(path, json=body, headers={"Idempotency-Key": "pay"})
            assert paid.status_code == 202
            await eventually_async(lambda: _approved(http, paid.headers["location"]))
        tasks = Path(f"/proc/{service.process.pid}/task").glob("*/children")  # a thread forks the gateway
        pids = [int(pid) for each in tasks for pid in each.read_text().split()]
        assert len(pids) == 3
        service.process.kill()
        service.process.wait()
        eventually(lambda: not any(alive(pid) for pid in pids), 30)


async def _approved(http, place):
    return (await http.get(place)).json()["status"] == "APPROVED"
