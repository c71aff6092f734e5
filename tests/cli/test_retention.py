"""`stockade erase-user` and `stockade archive`, as an operator types them."""

import json

import pytest

from stockade.service.ids import new_request_id
from stockade.shop.bootstrap import open_shop
from stockade.shop.commands import OrderLine, PlaceOrder
from stockade.shop.config.settings import Settings
from tests.cli.service import Service, audited, here, opened, prepared
from tests.cli.test_serve import place

OLD_MS = 1_700_000_000_000  # 2023-11-14


@pytest.fixture
async def url(tmp_path):
    """A SQLite file with two users and ten units of a product."""
    made = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    await prepared(made, users=2, products=1, stock=10)
    return made


async def old_order(url, pay="POINTS", now_ms=OLD_MS):
    """An order of user-1 of long ago, whose events a relay has sent and purged."""
    settings = Settings(database=url, events="log", events_keep_hours=0.01)
    async with open_shop(settings, jobs=False) as shop:
        id_ = new_request_id(now_ms)
        order = PlaceOrder(id_, id_, now_ms, "user-1", (OrderLine("sku-1", 2),), pay)
        return (await shop.execute(order)).data["order_id"]


async def test_erase_user_beside_a_service(url, tmp_path):
    """The erased user is unknown to the service at once, another one is not, and the audit is green."""
    await old_order(url)
    with Service(tmp_path, database=url) as service:
        done = await here("erase-user", "user-1", "--json", "--database", url)
        assert done.returncode == 0, done.stderr
        counts = json.loads(done.stdout)
        assert (counts["alias"].startswith("erased-"), counts["orders"], counts["payments"]) == (True, 1, 1)
        for user, status in (("user-1", 404), ("user-2", 200)):
            async with service.client(user) as http:
                assert (await http.get(f"/v1/users/{user}/points")).status_code == status
    again = await here("erase-user", "user-1", "--database", url)
    assert (again.returncode, len(again.stderr.splitlines())) == (1, 1)
    assert "no row has the user id 'user-1'" in again.stderr
    assert (await audited(url))[1] == []


async def test_a_reserved_order_is_named(url):
    """A person with an unpaid order is not erased: the order would lose its buyer."""
    order_id = await old_order(url, pay="LATER")
    done = await here("erase-user", "user-1", "--database", url)
    assert (done.returncode, order_id in done.stderr) == (2, True)


async def test_a_service_that_would_not_notice(url):
    """Beside a process whose strategy protects rows in its own memory only, both are refused and change nothing."""
    async with opened(url, "in-process"):
        for words in (("erase-user", "user-1"), ("archive", "--before", "2024-01-01", "--to", "/dev/null")):
            done = await here(*words, "--database", url)
            assert (done.returncode, "in-process" in done.stderr) == (2, True), done.stderr


async def test_archive_says_what_stays(url, tmp_path):
    """While the events of an old order wait it stays, and the message says so; once they are purged it is archived."""
    order_id, target = await old_order(url), tmp_path / "orders.jsonl"
    words = ("archive", "--before", "2024-01-01", "--to", target, "--database", url)
    waits = await here(*words)
    assert waits.returncode == 0, waits.stderr
    assert waits.stdout.startswith("0 orders ")
    assert "orders since 2023-11-14T22:13:20+00:00 stay" in waits.stdout
    assert target.read_text() == ""
    with Service(tmp_path, database=url, events="log", events_keep_hours=0.01, purge_s=0.05) as service:
        async with service.client("user-1") as http:
            assert (await http.get(f"/v1/orders/{order_id}")).status_code == 200
            await place(http, 1)  # the newest event of all is never purged
            await no_events(url)
            done = await here(*words)
            assert "1 orders with 2 units" in done.stdout, done.stdout + done.stderr
            assert (await http.get(f"/v1/orders/{order_id}")).status_code == 404
    assert json.loads(target.read_text())["order"]["id"] == order_id
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


async def test_an_archive_that_cannot_be_made(url, tmp_path):
    """A day that is none or too late, and a file that cannot be written, are one line and change nothing."""
    for before, to, words in (
        ("yesterday", "f", "must be a day, e.g. "),
        ("2999-01-01", "f", "31 days ago"),
        ("2024-01-01", "no-folder/f", "cannot write"),
    ):
        done = await here("archive", "--before", before, "--to", tmp_path / to, "--database", url)
        assert (done.returncode, len(done.stderr.splitlines()), done.stdout) == (2, 1, "")
        assert words in done.stderr
