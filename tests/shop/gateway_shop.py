"""Adds to the shop of `lived_in` everything that can become of a payment through a gateway."""

from stockade.service.ids import derived_id
from stockade.shop.commands import ClaimPayment, OpenCharge, Postpone, SettlePayment, SettleRefund
from stockade.shop.commands.payments.settle_payment import late_id
from tests.shop.lived_in import lived_in

LEASE_MS = 45_000


def with_gateway():
    """The shop, the ids of its orders and charges, and under `pay_NAME` those of their last attempts."""
    shop, ids = lived_in()
    shop.now_ms += 1_000
    buyer = Buyer(shop)
    for name in (
        "paid",
        "retried",
        "cancelled_pg",
        "cancelled_paying",
        "declined",
        "declined_expired",
        "declined_cancelled",
        "then_points",
        "paying",
        "unknown",
        "person",
        "late",
        "other_amount",
    ):
        ids[f"g_{name}"] = shop.reserve("g", ("a", 1))
    for name in ("charged", "charge_retried", "charge_declined", "charge_open", "charge_refused"):
        ids[name] = shop.execute(OpenCharge(*shop.next_id(), "g", 3_000, "KRW")).data["charge_id"]
    buyer.orders(ids)
    buyer.charges(ids)
    return shop, ids


def resolved():
    """The same, once everything of the buyer `g` is resolved, and every order over."""
    shop, ids = with_gateway()
    buyer = Buyer(shop)
    shop.now_ms += 1_000
    for name in ("pay_paying", "pay_unknown", "pay_person"):
        buyer.settle(ids[name])
    settle = SettleRefund.of(ids["refund_refused"], now_ms=shop.now_ms, refunded=True, gateway_id="by hand")
    assert shop.execute(settle).accepted
    for key in [key for key, row in shop.rows.items() if key.kind == "refund" and row.state.status == "READY"]:
        buyer.refund(key.id)
    for key in [key for key, row in shop.rows.items() if key.kind == "order" and row.state.status == "RESERVED"]:
        shop.cancel(key.id)
    return shop, ids


class Buyer:
    """Pays, and learns what the gateway answered."""

    def __init__(self, shop):
        self.shop = shop

    def orders(self, ids):
        """What becomes of orders."""
        claim, settle, cancel = self.claim, self.settle, self.shop.cancel
        ids["pay_paid"] = settle(claim(ids["g_paid"]))
        settle(claim(ids["g_retried"]), approved=False)
        settle(self.postpone(claim(ids["g_retried"])), approved=False)
        ids["pay_retried"] = settle(self.postpone(claim(ids["g_retried"]), 3))
        ids["pay_cancelled"] = settle(claim(ids["g_cancelled_pg"]))
        (refund,) = cancel(ids["g_cancelled_pg"], "g", "g lives at Main Street 2").data["refunds"]
        ids["refund_cancelled"] = self.refund(refund["refund_id"])
        ids["pay_unfulfillable"] = claim(ids["g_cancelled_paying"])
        cancel(ids["g_cancelled_paying"], "g")
        ids["refund_open"] = self.settle(ids["pay_unfulfillable"], refund=True)
        ids["pay_declined"] = settle(claim(ids["g_declined"]), approved=False)
        settle(claim(ids["g_declined_expired"]), approved=False)
        settle(claim(ids["g_declined_cancelled"]), approved=False)
        cancel(ids["g_declined_cancelled"], "g")
        settle(claim(ids["g_then_points"]), approved=False)
        self.shop.charge("g", 9_000)
        self.shop.pay(ids["g_then_points"], "g")
        ids["pay_paying"] = claim(ids["g_paying"])
        ids["pay_unknown"] = self.postpone(claim(ids["g_unknown"]), 2)
        ids["pay_person"] = self.leave_to_a_person(claim(ids["g_person"]))
        late = settle(claim(ids["g_late"]), approved=False)
        settle(late, late=True)
        settle(claim(ids["g_other_amount"]), amount=999)

    def charges(self, ids):
        """What becomes of charges of points."""
        claim, settle = self.claim, self.settle
        ids["pay_charged"] = settle(claim(ids["charged"], "charge"))
        settle(claim(ids["charge_retried"], "charge"), approved=False)
        settle(claim(ids["charge_retried"], "charge"))
        settle(claim(ids["charge_declined"], "charge"), approved=False)
        refund = settle(claim(ids["charge_refused"], "charge"), amount=1, refund=True)
        ids["refund_refused"] = self.refund(refund, refunded=False)
        self.shop.now_ms += 700_000
        self.shop.expire(ids["g_declined_expired"])

    def claim(self, subject_id, subject="order"):
        """The id of a new attempt."""
        shop = self.shop
        payment_id, fingerprint, now_ms = shop.next_id()
        state = shop.state(subject, subject_id)
        amount = state.total if subject == "order" else state.amount
        ends_ms, key = now_ms + LEASE_MS, f"key of {payment_id}"
        what = (payment_id, subject, subject_id, "g", key, amount, "KRW", "toss", ends_ms)
        answer = shop.execute(ClaimPayment(payment_id, fingerprint, now_ms, *what))
        assert answer.accepted, answer
        return payment_id

    def postpone(self, payment_id, times=1, kind="attempt"):
        """Let a reconciler try without success."""
        now_ms = self.shop.now_ms
        for tries in range(times):
            command = Postpone.at(kind, payment_id, tries, now_ms=now_ms, resolve_at_ms=now_ms + LEASE_MS, code="?")
            assert self.shop.execute(command).accepted
        return payment_id

    def leave_to_a_person(self, payment_id):
        """No reconciler is to try again."""
        command = Postpone.at("attempt", payment_id, 0, now_ms=self.shop.now_ms, resolve_at_ms=0, code="NEEDS_DECISION")
        assert self.shop.execute(command).accepted
        return payment_id

    def settle(self, payment_id, *, approved=True, amount=None, late=False, refund=False):
        """Record the gateway's answer; the id of the attempt, or that of its refund."""
        found = self.shop.state("attempt", payment_id)
        request = late_id(payment_id) if late else derived_id("settled", payment_id)
        charged = (found.amount if amount is None else amount) if approved else 0
        said = (f"toss-{payment_id}" if approved else "", charged, "KRW", "" if approved else "REJECT_CARD_PAYMENT")
        answer = self.shop.execute(SettlePayment(request, request, self.shop.now_ms, payment_id, approved, *said))
        assert answer.accepted, answer
        return answer.data["refund_id"] if refund else payment_id

    def refund(self, refund_id, *, refunded=True):
        """Record what the gateway answered about a refund, after a try without an answer."""
        self.postpone(refund_id, kind="refund")
        settle = SettleRefund.of(refund_id, now_ms=self.shop.now_ms, refunded=refunded, gateway_id="r", code="")
        assert self.shop.execute(settle).accepted
        return refund_id
