"""Damage to payments through a gateway, for the rules of the audit about them. Neighbour: `breakages`."""

from sqlalchemy import delete, update

from stockade.shop.model.tables import orders, payment_attempts, payments, point_charges, refunds
from stockade.store.schema.tables import ledger, outbox, requests
from tests.shop.breakage import NO_ID, Breakage, copied, copied_row, entry, of


def gateway_breakages(ids):
    """All of them, for the orders of `with_gateway`."""
    yield from step_breakages(ids)
    yield from approval_breakages(ids)
    yield from refund_breakages(ids)
    yield from open_breakages(ids)


def step_breakages(ids):
    """Ways of orders through PAYING that are none, and entries of attempts that are missing, repeated or of nothing."""
    retried, paying = ids["g_retried"], ids["g_paying"]
    expired, declined = ids["g_declined_expired"], ids["g_declined"]
    rule = "illegal-step"
    again = update(ledger).where(of("order", retried) & (ledger.c.version == 3)).values(note="PAYING")
    yield Breakage(rule, f"order:{retried}", [again])
    swapped = (
        update(ledger).where(of("order", retried) & ledger.c.version.in_((2, 3))).values(version=5 - ledger.c.version)
    )
    yield Breakage(rule, f"order:{retried}", [swapped])
    yield Breakage(
        rule, f"order:{expired}", [update(ledger).where(of("order", expired, "RESERVED")).values(note="PAID")]
    )
    yield Breakage(
        "order-status", f"order:{paying}", [update(orders).where(orders.c.id == paying).values(status="RESERVED")]
    )
    yield Breakage(
        "order-status", f"order:{declined}", [update(orders).where(orders.c.id == declined).values(status="PAYING")]
    )
    twice = update(ledger).where(of("order", retried) & (ledger.c.version == 3)).values(version=2)
    yield Breakage("repeated-version", f"order:{retried} version 2", [twice])
    of_attempt = of("attempt", ids["pay_retried"])
    twice = update(ledger).where(of_attempt & (ledger.c.version == 3)).values(version=2)
    yield Breakage("repeated-version", f"attempt:{ids['pay_retried']} version 2", [twice])
    yield Breakage(
        "version-gap", f"attempt:{ids['pay_retried']}", [delete(ledger).where(of_attempt & (ledger.c.version == 3))]
    )
    yield Breakage("version-gap", f"charge:{ids['charged']}", [update(point_charges).values(version=9)])
    yield Breakage(
        "version-gap",
        f"refund:{ids['refund_cancelled']}",
        [delete(ledger).where(of("refund", ids["refund_cancelled"]))],
    )
    yield Breakage("row-missing", "refund:ghost", [entry("refund", "ghost")])
    yield Breakage(
        "request-missing",
        f"request:{ids['charge_open']}",
        [delete(requests).where(requests.c.id == ids["charge_open"])],
    )
    for kind in ("payment.declined", "payment.unfulfillable", "payment.refunded", "payment.refund_refused"):
        yield Breakage("event-once", kind, [delete(outbox).where(outbox.c.kind == kind)])
    yield Breakage(
        "points-of-payment",
        f"payment:{ids['pay_paid']} points:g",
        [entry("points", "g", note="use", ref=ids["g_paid"])],
    )


def approval_breakages(ids):
    """Approvals that were recorded as nothing, as something else, or twice."""
    paid, charged = ids["pay_paid"], ids["pay_charged"]
    of_paid, of_charged = payment_attempts.c.id == paid, payment_attempts.c.id == charged
    rule = "approved-once"
    twice = copied_row(payment_attempts, of_paid, id=NO_ID, reference="x")
    yield Breakage(rule, f"order:{ids['g_paid']}", [twice])
    yield Breakage(
        rule, f"charge:{ids['charged']}", [copied_row(payment_attempts, of_charged, id=NO_ID, reference="x")]
    )
    rule = "approval-recorded"
    yield Breakage(rule, f"attempt:{paid}", [delete(payments).where(payments.c.id == paid)])
    yield Breakage(rule, f"attempt:{paid}", [update(payment_attempts).where(of_paid).values(charged=1)])
    yield Breakage(rule, f"attempt:{paid}", [update(payment_attempts).where(of_paid).values(user_id="x")])
    yield Breakage(rule, f"attempt:{paid}", [update(payments).where(payments.c.id == paid).values(amount=1)])
    yield Breakage(rule, f"attempt:{paid}", [update(payments).where(payments.c.id == paid).values(method="POINTS")])
    yield Breakage(rule, f"attempt:{charged}", [update(point_charges).values(status="READY")])
    yield Breakage(rule, f"attempt:{charged}", [update(point_charges).values(payment_id=NO_ID)])
    yield Breakage(rule, f"payment:{paid}", [delete(payment_attempts).where(of_paid)])
    yield Breakage(
        rule, f"charge:{ids['charged']}", [update(payment_attempts).where(of_charged).values(status="UNKNOWN")]
    )
    by_points = update(payments).where(payments.c.id == ids["paid"]).values(method="PG")
    yield Breakage(rule, f"payment:{ids['paid']}", [by_points])
    orphan = copied_row(
        payment_attempts, payment_attempts.c.id == ids["pay_declined"], id=NO_ID, reference="x", subject_id=NO_ID
    )
    yield Breakage("attempt-of-nothing", f"attempt:{NO_ID}", [orphan])
    wrong = update(payment_attempts).where(of_paid).values(subject="charge")
    yield Breakage("attempt-of-nothing", f"attempt:{paid}", [wrong])
    rule = "points-of-charge"
    added = of("points", "g", "charge", ids["charged"])
    yield Breakage(rule, f"charge:{ids['charged']} points:g", [delete(ledger).where(added)])
    yield Breakage(rule, f"charge:{ids['charged']} points:g", [copied(added)])
    yield Breakage(rule, f"charge:{ids['charged']} points:g", [update(ledger).where(added).values(delta=1)])
    yield Breakage(
        rule,
        f"charge:{ids['charge_declined']} points:g",
        [entry("points", "g", note="charge", ref=ids["charge_declined"])],
    )
    yield Breakage(rule, f"charge:{NO_ID} points:g", [entry("points", "g", note="charge", request_id="x", ref=NO_ID)])


def refund_breakages(ids):
    """Refunds of too much, too little, or of nothing."""
    cancelled, unfulfillable = ids["pay_cancelled"], ids["pay_unfulfillable"]
    of_cancelled = refunds.c.payment_id == cancelled
    rule = "refund-sum"
    yield Breakage(rule, f"attempt:{cancelled}", [delete(refunds).where(of_cancelled)])
    yield Breakage(rule, f"attempt:{cancelled}", [copied_row(refunds, of_cancelled, id=NO_ID)])
    yield Breakage(rule, f"attempt:{cancelled}", [update(refunds).where(of_cancelled).values(amount=1)])
    yield Breakage(rule, f"attempt:{NO_ID}", [copied_row(refunds, of_cancelled, id=NO_ID, payment_id=NO_ID)])
    rule = "refund-owed"
    nothing = update(payment_attempts).where(payment_attempts.c.id == unfulfillable).values(refunds=0)
    yield Breakage(rule, f"attempt:{unfulfillable}", [nothing])
    too_much = update(payment_attempts).where(payment_attempts.c.id == cancelled).values(refunds=5_000)
    yield Breakage(rule, f"attempt:{cancelled}", [too_much], forbidden=True)
    for_nothing = update(payment_attempts).where(payment_attempts.c.id == ids["pay_declined"]).values(charged=1_000)
    yield Breakage(rule, f"attempt:{ids['pay_declined']}", [for_nothing])


def open_breakages(ids):
    """What is being paid by nothing, is not being paid by what is open, or is forgotten by every reconciler."""
    order, attempt = ids["g_paying"], ids["pay_paying"]
    of_attempt = payment_attempts.c.id == attempt
    rule = "paying-attempt"
    yield Breakage(rule, f"order:{order}", [delete(payment_attempts).where(of_attempt)])
    yield Breakage(rule, f"order:{order}", [update(payment_attempts).where(of_attempt).values(status="DECLINED")])
    yield Breakage(
        rule, f"order:{order}", [update(orders).where(orders.c.id == order).values(payment_id=ids["pay_unknown"])]
    )
    yield Breakage(rule, f"order:{order}", [update(orders).where(orders.c.id == order).values(status="RESERVED")])
    charge = update(point_charges).where(point_charges.c.id == ids["charge_open"]).values(status="APPROVING")
    yield Breakage(rule, f"charge:{ids['charge_open']}", [charge])
    open_again = (
        update(payment_attempts).where(payment_attempts.c.id == ids["pay_charged"]).values(status="UNKNOWN", charged=0)
    )
    yield Breakage(rule, f"charge:{ids['charged']}", [open_again])
    rule = "payment-overdue"
    for at_ms in (0, 1):
        yield Breakage(
            rule, f"attempt:{attempt}", [update(payment_attempts).where(of_attempt).values(resolve_at_ms=at_ms)]
        )
    waiting = refunds.c.id == ids["refund_open"]
    yield Breakage(rule, f"refund:{ids['refund_open']}", [update(refunds).where(waiting).values(resolve_at_ms=1)])
