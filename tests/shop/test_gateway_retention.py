"""Erasing and archiving what was paid through a gateway: nothing of a person is left, and no money is forgotten."""

import json

import pytest
from sqlalchemy import delete, func, select, update

from stockade.shop.model.tables import orders, payment_attempts, payments, refunds
from stockade.shop.retention import gateway_records
from stockade.shop.retention.archive import ArchiveFile, archive
from stockade.shop.retention.erase import EraseRefused, erase_user
from stockade.store.schema.tables import outbox
from tests.shop.conftest import soon
from tests.shop.gateway_shop import resolved
from tests.shop.test_retention import LATER_MS, checked, names_user, purged, texts


@pytest.fixture
async def shop(keep):
    """A shop in which everything has happened to payments of `g`, and all of it is resolved."""
    shop, ids = resolved()
    await keep(shop)
    return ids


async def changed(database, *statements):
    """Change rows behind the back of the shop."""

    def body(conn):
        for statement in statements:
            conn.execute(statement)

    await database.transaction(body, deadline=soon())


def refused(ids):
    """The gateway will not give money back: a person has to decide."""
    return update(refunds).where(refunds.c.id == ids["refund_cancelled"]).values(status="REFUSED")


async def test_nothing_of_who_paid_is_left(database, shop):
    """Neither the id nor a key of a payment nor a free text; the audit is as before. The control: one row left out."""
    found, before = await checked(database)
    assert found == []
    erased = await erase_user(database, "g")
    assert (erased.charges, erased.attempts > 15, erased.refunds > 3) == (5, True, True)
    left = [
        text for text in await texts(database) if names_user(text, "g") or "Main Street 2" in text or "key of" in text
    ]
    assert left == []
    assert await checked(database) == ([], before)
    await changed(
        database, update(payment_attempts).where(payment_attempts.c.id == shop["pay_paid"]).values(user_id="g")
    )
    assert {each.rule for each in (await checked(database))[0]} == {"approval-recorded"}


async def test_who_is_owed_money_is_not_erased(database, shop):
    """An open payment and a refused refund are named; after that nothing is in the way."""
    of_unknown = payment_attempts.c.id == shop["pay_unknown"]
    await changed(database, update(payment_attempts).where(of_unknown).values(status="UNKNOWN"))
    with pytest.raises(EraseRefused, match=shop["pay_unknown"]):
        await erase_user(database, "g")
    await changed(database, update(payment_attempts).where(of_unknown).values(status="APPROVED"), refused(shop))
    with pytest.raises(EraseRefused, match=shop["pay_cancelled"]):
        await erase_user(database, "g")
    assert [text for text in await texts(database) if names_user(text, "g")]


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "control"])
async def test_payments_leave_with_their_orders(database, shop, tmp_path, monkeypatch, whole):
    """Attempts and refunds are in the file, charges stay; what is unresolved stays. The control: attempts are left."""
    await changed(database, delete(outbox), refused(shop))
    await purged(database)
    before = (await checked(database))[1]
    if not whole:
        monkeypatch.setattr(gateway_records, "remove", lambda *args: None)
    path = tmp_path / "orders.jsonl"
    with ArchiveFile(path) as file:
        await archive(database, LATER_MS, file)
    lines = {line["order"]["id"]: line for line in map(json.loads, path.read_text().splitlines())}
    assert shop["g_cancelled_pg"] not in lines
    late = lines[shop["g_late"]]
    assert [each["status"] for each in late["attempts"]] == ["UNFULFILLABLE"]
    assert [each["status"] for each in late["refunds"]] == ["REFUNDED"]
    assert {each["kind"] for each in late["steps"]} == {"order", "attempt", "refund"}
    found, after = await checked(database)
    assert {each.rule for each in found} == (set() if whole else {"attempt-of-nothing", "approval-recorded"})
    assert (after.on_hand, after.balance, sum(after.orders.values())) == (before.on_hand, before.balance, 1)
    if whole:
        assert await left_of(database, shop) == ({"charge": 5, "order": 1}, 1, 1)


async def left_of(database, shop):
    """How many attempts are left of each kind, how many payments, and how many orders."""

    def read(conn):
        of = select(payment_attempts.c.subject, func.count().label("attempts")).group_by(payment_attempts.c.subject)
        return (
            {row.subject: row.attempts for row in conn.execute(of)},
            conn.execute(select(func.count(payments.c.id))).scalar(),
            conn.execute(select(func.count(orders.c.id))).scalar(),
        )

    return await database.read(read)
