"""`stockade erase-user` and `stockade archive`, as an operator types them."""

import json

import pytest

from stockade.service.ids import new_request_id
from stockade.shop.bootstrap import open_shop
from stockade.shop.commands import OrderLine, PlaceOrder
from stockade.shop.config.settings import Settings
from tests.cli.service import Service, audited, prepared, stockade
from tests.cli.test_serve import place

OLD_MS = 1_700_000_000_000  # 2023-11-14


async def old_order(url, now_ms=OLD_MS):
    """An order of long ago, paid by user-1, whose events a relay has sent and purged."""
    settings = Settings(database=url, events="log", events_keep_hours=0.01)
    async with open_shop(settings, jobs=False) as shop:
        id_ = new_request_id(now_ms)
        order = PlaceOrder(id_, id_, now_ms, "user-1", (OrderLine("sku-1", 2),), "POINTS")
        return (await shop.execute(order)).data["order_id"]


async def test_erase_user_beside_a_service(tmp_path):
    """The erased user is unknown to the service at once, another one is not, and the audit is green."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    await prepared(url, users=2, products=1, stock=10)
    await old_order(url)
    with Service(tmp_path, database=url) as service:
        done = stockade(tmp_path, "erase-user", "user-1", "--json", "--database", url)
        assert done.returncode == 0, done.stderr
        counts = json.loads(done.stdout)
        assert (counts["alias"].startswith("erased-"), counts["orders"], counts["payments"]) == (True, 1, 1)
        for user, status in (("user-1", 404), ("user-2", 200)):
            async with service.client(user) as http:
                assert (await http.get(f"/v1/users/{user}/points")).status_code == status
        again = stockade(tmp_path, "erase-user", "user-1", "--database", url)
        assert (again.returncode, len(again.stderr.splitlines())) == (1, 1)
        assert "no row has the user id 'user-1'" in again.stderr
    assert (await audited(url))[1] == []


async def test_a_reserved_order_is_named(tmp_path):
    """A person with an unpaid order is not erased: the order would lose its buyer."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    await prepared(url, users=1, products=1, stock=10)
    with Service(tmp_path, database=url) as service:
        async with service.client("user-1") as http:
            order_id = (await place(http, 1)).json()["order_id"]
        done = stockade(tmp_path, "erase-user", "user-1", "--database", url)
        assert (done.returncode, order_id in done.stderr) == (2, True)


async def test_a_service_that_would_not_notice(tmp_path):
    """Beside a process whose strategy protects rows in its own memory only, both are refused and change nothing."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    await prepared(url, users=1, products=1, stock=10)
    with Service(tmp_path, "--strategy", "in-process", database=url):
        for words in (("erase-user", "user-1"), ("archive", "--before", "2024-01-01", "--to", "orders.jsonl")):
            done = stockade(tmp_path, *words, "--database", url)
            assert (done.returncode, "in-process" in done.stderr) == (2, True), done.stderr


async def test_archive_says_what_stays(tmp_path):
    """While the events of an old order wait it stays, and the message says so; once they are purged it is archived."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    await prepared(url, users=1, products=1, stock=10)
    order_id = await old_order(url)
    words = ("archive", "--before", "2024-01-01", "--to", "orders.jsonl", "--database", url)
    waits = stockade(tmp_path, *words)
    assert waits.returncode == 0, waits.stderr
    assert waits.stdout.startswith("0 orders ")
    assert "orders since 2023-11-14T22:13:20+00:00 stay" in waits.stdout
    assert (tmp_path / "orders.jsonl").read_text() == ""
    with Service(tmp_path, database=url, events="log", events_keep_hours=0.01, purge_s=0.05) as service:
        async with service.client("user-1") as http:
            assert (await http.get(f"/v1/orders/{order_id}")).status_code == 200
            await place(http, 1)  # the newest event of all is never purged
            await no_events(url)
            done = stockade(tmp_path, *words)
            assert "1 orders with 2 units" in done.stdout, done.stdout + done.stderr
            assert (await http.get(f"/v1/orders/{order_id}")).status_code == 404
    assert json.loads((tmp_path / "orders.jsonl").read_text())["order"]["id"] == order_id
    assert (await audited(url))[1] == []


async def no_events(url):
    """Wait until the old order's events are purged."""
    from sqlalchemy import func, select

    from stockade.store import Database
    from stockade.store.schema.tables import outbox
    from tests.waiting import eventually_async

    database = await Database.open(url)
    old = select(func.count(outbox.c.id)).where(outbox.c.created_ms <= OLD_MS)

    async def gone():
        return await database.read(lambda conn: conn.execute(old).scalar()) == 0

    await eventually_async(gone)
    await database.close()


@pytest.mark.parametrize(
    ("before", "to", "words"),
    [
        ("yesterday", "f", "must be a day, e.g. "),
        ("2999-01-01", "f", "31 days ago"),
        ("2024-01-01", "no-folder/f", "cannot write"),
    ],
)
async def test_an_archive_that_cannot_be_made(before, to, words, tmp_path):
    """A day that is none or too late, and a file that cannot be written, are one line and change nothing."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    await prepared(url, users=1, products=1, stock=10)
    done = stockade(tmp_path, "archive", "--before", before, "--to", to, "--database", url)
    assert (done.returncode, len(done.stderr.splitlines()), done.stdout) == (2, 1, "")
    assert words in done.stderr
