"""What an operator reads about payments, on every database: lists, details, and the gateway's answers page by page."""

from functools import partial

import pytest
from sqlalchemy import func, select

from stockade.gateways import Approved, Capabilities, Declined, Money, NotFound, Unknown
from stockade.shop import queries
from stockade.shop.payments import comparison
from stockade.shop.payments.comparison import MAX_OWED, GivenBack, compare, difference
from stockade.shop.queries.unresolved_payments import newest_payments, payment_details, unresolved_payments
from stockade.store.schema.tables import ledger
from tests.shop.gateway_shop import with_gateway

SHOP, IDS = with_gateway()
SEEN = {"pay_unknown": ["APPROVING", "UNKNOWN"], "pay_declined": ["APPROVING", "DECLINED"]}


class Answers:
    """A gateway that says what our rows say, except about some references. It counts the look-ups."""

    name = "toss"
    capabilities = Capabilities(key_valid_s=1.0, look_up=True, signed_notifications=False)

    def __init__(self, others=None):
        self.others, self.asked = others or {}, []
        refunds = [row.state for key, row in SHOP.rows.items() if key.kind == "refund"]
        self.known = {}
        for key, row in SHOP.rows.items():
            if key.kind == "attempt":
                given = sum(each.amount for each in refunds if each.payment_id == key.id and each.status == "REFUNDED")
                self.known[row.state.reference] = row.state, given

    async def look_up(self, reference, gateway_id="", payment_key=""):
        self.asked.append(reference)
        state, given = self.known[reference]
        if reference in self.others:
            return self.others[reference]
        return Approved("x", Money(state.charged), given) if state.charged else Declined("REJECT_CARD_PAYMENT")


async def test_lists_and_details(database, keep):
    """The oldest unresolved one and the newest payment first; a payment with its refund; nothing for an unknown id."""
    await keep(SHOP)
    open_ = await database.read(lambda conn: unresolved_payments(conn, limit=100, gateway="toss"))
    newest = await database.read(lambda conn: newest_payments(conn, limit=2, gateway="toss"))
    details = await database.read(lambda conn: payment_details(conn, IDS["pay_cancelled"], gateway="toss"))
    assert [each.kind for each in open_] == ["payment"] * 3 + ["refund"] * 4
    assert [each.created_at for each in newest] == sorted([each.created_at for each in newest], reverse=True)
    assert [each.id for each in details.refunds] == [IDS["refund_cancelled"]]
    assert await database.read(lambda conn: payment_details(conn, "ghost", gateway="toss")) is None


async def test_what_a_buyer_sees(database, keep):
    """UNKNOWN once, after two looks that left it so, without the note for operators; a decline with its code."""
    await keep(SHOP)
    shown = {name: await database.read(partial(queries.payment, payment_id=IDS[name], user_id="g")) for name in SEEN}
    assert {name: [step.status for step in each.history] for name, each in shown.items()} == SEEN
    assert (shown["pay_unknown"].code, shown["pay_unknown"].approvals) == (None, 0)
    assert shown["pay_declined"].code
    entries = select(func.count()).where(ledger.c.kind == "attempt", ledger.c.row_id == IDS["pay_unknown"])
    assert await database.read(lambda conn: conn.execute(entries).scalar()) == 2


async def test_every_settled_payment_is_looked_up_once(database, keep, monkeypatch):
    """Over several pages, also where all have one time; one that the gateway does not know is named, and only that."""
    monkeypatch.setattr(comparison, "PAGE", 3)
    await keep(SHOP)
    paid, unknown = (SHOP.state("attempt", IDS[name]).reference for name in ("pay_paid", "pay_charged"))
    gateway = Answers({paid: NotFound(), unknown: Unknown("no answer")})
    found = await compare(database.read, gateway, since_ms=0, until_ms=2**42, look_ups_per_s=1e6)
    settled = [state.reference for state, _ in gateway.known.values() if state.status not in ("APPROVING", "UNKNOWN")]
    assert sorted(gateway.asked) == sorted(settled)
    assert [each.reference for each in found.differences] == [paid]
    assert (found.unanswered, found.alike) == (1, len(settled) - 2)
    nothing = await compare(database.read, Answers(), since_ms=2**41, until_ms=2**42, look_ups_per_s=1e6)
    assert (nothing.alike, nothing.differences) == (0, [])


@pytest.mark.parametrize(
    ("status", "charged", "given_back", "answer", "same"),
    [
        ("APPROVED", 5, (0, ()), Approved("x", Money(5)), True),
        ("APPROVED", 5, (0, ()), Approved("x", Money(6)), False),
        ("APPROVED", 5, (2, ()), Approved("x", Money(5), 2), True),
        ("APPROVED", 5, (0, (2,)), Approved("x", Money(5), 2), True),  # owed, and perhaps done
        ("APPROVED", 5, (0, (2,)), Approved("x", Money(5), 1), False),
        ("APPROVED", 9, (0, (3, 5)), Approved("x", Money(9), 3), True),  # one of two
        ("APPROVED", 9, (0, (3, 5)), Approved("x", Money(9), 4), False),
        ("APPROVED", 9, (0, (1,) * (MAX_OWED + 1)), Approved("x", Money(9), 4), True),
        ("APPROVED", 5, (0, ()), Approved("x", Money(5, "EUR")), False),
        ("DECLINED", 0, (0, ()), Approved("x", Money(5), 5), True),  # given back by hand
        ("DECLINED", 0, (0, ()), Approved("x", Money(5)), False),
        ("CANCELLED", 5, (5, ()), Declined("X"), False),
    ],
)
def test_what_counts_as_a_difference(status, charged, given_back, answer, same):
    """What is left of the money is compared, with the currency, and no refund that may be under way is a difference."""
    assert (difference(status, Money(charged), GivenBack(*given_back), answer) is None) is same
