"""One piece of damage, or several, for every rule of the audit: the control that each rule can fail."""

from sqlalchemy import delete, insert, update

from stockade.shop.model.tables import (
    cancelled_lines,
    order_lines,
    orders,
    payments,
    point_accounts,
    product_sales,
    products,
    sales_progress,
    sales_windows,
    skus,
    window_sales,
)
from stockade.store.schema.tables import ledger, outbox, requests
from tests.shop.breakage import NO_ID, Breakage, copied, copied_row, entry, of


def units_cancelled(order_id, **values):
    """INSERT that units of the line of `b` were cancelled."""
    row = {"order_id": order_id, "line": 1, "request_id": NO_ID, "sku_id": "b", "product_id": "p-b", "payment_id": ""}
    return insert(cancelled_lines).values({**row, **values})


def breakages(ids):
    """All of them, for the orders of `lived_in`."""
    paid, later, cancelled = ids["paid"], ids["paid_later"], ids["cancelled"]
    unpaid, expired, reserved = ids["cancelled_unpaid"], ids["expired"], ids["reserved"]
    yield Breakage("oversold", "stock:a", [entry("stock", "a", delta=-1000)])
    yield Breakage("oversold", "stock:a", [update(ledger).where(of("stock", "a", "create")).values(delta=5)])
    yield Breakage("overspent", "points:u", [entry("points", "u", delta=-1_000_000)])
    yield Breakage("below-zero", "stock:a", [update(ledger).where(of("stock", "a", "adjust")).values(amount_after=-1)])
    yield Breakage("below-zero", "points:u", [update(point_accounts).values(balance=-1)], forbidden=True)
    yield Breakage("below-zero", "stock:b", [update(skus).where(skus.c.id == "b").values(reserved=51)], forbidden=True)
    yield Breakage("ledger-sum", "stock:a", [update(skus).where(skus.c.id == "a").values(on_hand=skus.c.on_hand + 1)])
    yield Breakage("ledger-sum", "stock:a", [update(skus).where(skus.c.id == "a").values(reserved=skus.c.reserved + 1)])
    yield Breakage("ledger-sum", "points:v", [update(point_accounts).values(balance=point_accounts.c.balance + 1)])
    yield Breakage("ledger-sum", "stock:gift", [delete(ledger).where(of("stock", "gift"))])
    yield Breakage("repeated-version", "stock:b version 2", [copied(of("stock", "b") & (ledger.c.version == 2))])
    yield Breakage("version-gap", "stock:b", [delete(ledger).where(of("stock", "b") & (ledger.c.version == 2))])
    yield Breakage("version-gap", "points:u", [update(point_accounts).values(version=point_accounts.c.version + 1)])
    yield Breakage("version-gap", f"order:{later}", [delete(ledger).where(of("order", later))])
    yield Breakage("version-gap", f"payment:{cancelled}", [update(payments).values(version=7)])
    yield Breakage("version-gap", "product:p-b", [delete(ledger).where(of("product", "p-b") & (ledger.c.version == 3))])
    yield Breakage("version-gap", "product:p-gift", [update(products).values(version=3)])
    later_version = update(ledger).where(of("product", "p-b") & (ledger.c.version == 2)).values(version=3)
    yield Breakage("repeated-version", "product:p-b version 3", [later_version])
    yield Breakage("row-missing", "product:ghost", [entry("product", "ghost")])
    yield Breakage(
        "ledger-chain",
        "stock:b version 2",
        [update(ledger).where(of("stock", "b") & (ledger.c.version == 2)).values(amount_after=49)],
    )
    yield Breakage(
        "ledger-chain", "points:v version 1", [update(ledger).where(of("points", "v", "charge")).values(held_after=1)]
    )
    yield Breakage("row-missing", "stock:ghost", [entry("stock", "ghost")])
    yield Breakage("row-missing", f"order:{NO_ID}", [entry("order", NO_ID)])
    yield Breakage("order-total", f"order:{paid}", [update(orders).where(orders.c.id == paid).values(total=1)])
    yield Breakage("cancelled-lines", f"order:{paid}", [units_cancelled(paid, quantity=3, amount=900)])
    yield Breakage("cancelled-lines", f"order:{later}", [units_cancelled(later, line=9, quantity=1, amount=300)])
    yield Breakage("order-total", f"order:{paid}", [delete(order_lines).where(order_lines.c.order_id == paid)])
    yield Breakage(
        "order-status", f"order:{paid}", [update(orders).where(orders.c.id == paid).values(status="RESERVED")]
    )
    yield Breakage(
        "order-status", f"order:{later}", [update(orders).where(orders.c.id == later).values(status="RESERVED")]
    )
    yield Breakage("illegal-step", f"order:{expired}", [entry("order", expired, note="PAID")])
    yield Breakage("illegal-step", f"order:{paid}", [entry("order", paid, note="EXPIRED")])
    yield from order_breakages(paid, later, cancelled, unpaid, expired, reserved)
    yield from payment_breakages(ids)
    yield from record_breakages(ids)
    yield from sales_breakages()


def order_breakages(paid, later, cancelled, unpaid, expired, reserved):
    """Lines that took too much, too little, or gave back too often."""
    rule = "paid-deducted-once"
    yield Breakage(rule, f"order:{paid} stock:a", [delete(ledger).where(of("stock", "a", ref=paid))])
    yield Breakage(rule, f"order:{paid} stock:a", [copied(of("stock", "a", ref=paid))])
    yield Breakage(rule, f"order:{paid} stock:b", [update(ledger).where(of("stock", "b", ref=paid)).values(delta=-1)])
    yield Breakage(rule, f"order:{later} stock:a", [delete(ledger).where(of("stock", "a", "deduct", later))])
    yield Breakage(rule, f"order:{paid} stock:a", [entry("stock", "a", note="restore", delta=1, ref=paid)])
    rule = "reserved-held-once"
    yield Breakage(rule, f"order:{reserved} stock:b", [delete(ledger).where(of("stock", "b", ref=reserved))])
    yield Breakage(rule, f"order:{reserved} stock:b", [copied(of("stock", "b", ref=reserved))])
    rule = "restored-once"
    yield Breakage(rule, f"order:{cancelled} stock:a", [copied(of("stock", "a", "restore", cancelled))])
    yield Breakage(rule, f"order:{cancelled} stock:a", [delete(ledger).where(of("stock", "a", "restore", cancelled))])
    yield Breakage(rule, f"order:{unpaid} stock:b", [delete(ledger).where(of("stock", "b", "release", unpaid))])
    yield Breakage(rule, f"order:{expired} stock:b", [copied(of("stock", "b", "release", expired))])
    yield Breakage(rule, f"order:{unpaid} stock:b", [delete(ledger).where(of("stock", "b", ref=unpaid))])
    rule = "stray-movement"
    yield Breakage(rule, f"order:{NO_ID} stock:a", [entry("stock", "a", note="deduct", delta=-1, ref=NO_ID)])
    yield Breakage(rule, f"order:{paid} stock:gift", [entry("stock", "gift", note="reserve", held=1, ref=paid)])


def payment_breakages(ids):
    """Payments without order, orders without payment, and points that do not follow."""
    paid, cancelled, unpaid, free = ids["paid"], ids["cancelled"], ids["cancelled_unpaid"], ids["free"]
    rule = "payment-of-order"
    yield Breakage(rule, f"order:{paid}", [delete(payments).where(payments.c.id == paid)])
    yield Breakage(rule, f"order:{paid}", [update(payments).where(payments.c.id == paid).values(amount=1)])
    yield Breakage(rule, f"order:{paid}", [update(payments).where(payments.c.id == paid).values(user_id="x")])
    yield Breakage(rule, f"order:{paid}", [update(payments).where(payments.c.id == paid).values(status="CANCELLED")])
    yield Breakage(rule, f"order:{paid}", [update(orders).where(orders.c.id == paid).values(payment_id=NO_ID)])
    yield Breakage(rule, f"order:{cancelled}", [update(payments).values(status="APPROVED")])
    made = copied_row(payments, payments.c.id == paid, id=NO_ID, order_id=unpaid)
    yield Breakage(rule, f"order:{unpaid}", [made])
    orphan = copied_row(payments, payments.c.id == paid, id=NO_ID, order_id=NO_ID)
    yield Breakage("payment-without-order", f"payment:{NO_ID}", [orphan], forbidden=True)
    rule = "points-of-payment"
    yield Breakage(rule, f"payment:{paid} points:u", [delete(ledger).where(of("points", "u", ref=paid))])
    yield Breakage(rule, f"payment:{paid} points:u", [copied(of("points", "u", ref=paid))])
    yield Breakage(rule, f"payment:{cancelled} points:u", [copied(of("points", "u", "refund"))])
    yield Breakage(rule, f"payment:{cancelled} points:u", [delete(ledger).where(of("points", "u", "refund"))])
    yield Breakage(rule, f"payment:{free} points:w", [entry("points", "w", note="use", ref=free)])
    rule = "stray-points"
    yield Breakage(rule, f"order:{NO_ID} points:u", [entry("points", "u", note="use", delta=-1, ref=NO_ID)])
    yield Breakage(rule, f"order:{paid} points:v", [entry("points", "v", note="use", delta=-1, ref=paid)])


def record_breakages(ids):
    """Effects without request, refusals with effects, events missing, repeated or made up."""
    paid, cancelled, refused = ids["paid"], ids["cancelled"], ids["refused"]
    rule = "request-missing"
    yield Breakage(rule, f"request:{paid}", [delete(requests).where(requests.c.id == paid)])
    yield Breakage(rule, f"request:{NO_ID}", [entry("points", "u")])
    refusal = b'{"code":"OUT_OF_STOCK"}'
    rule = "refused-but-done"
    yield Breakage(rule, f"request:{paid}", [update(requests).where(requests.c.id == paid).values(outcome=refusal)])
    yield Breakage(rule, f"request:{refused}", [entry("stock", "a", request_id=refused)])
    yield Breakage(rule, f"request:{refused}", [copied_row(outbox, outbox.c.request_id == paid, request_id=refused)])
    yield Breakage(rule, f"request:{refused}", [copied_row(orders, orders.c.id == paid, id=refused)])
    rule = "event-once"
    placed = f"request:{paid} order.placed"
    yield Breakage(rule, placed, [delete(outbox).where(outbox.c.request_id == paid)])
    yield Breakage(rule, placed, [copied_row(outbox, outbox.c.request_id == paid, seq=1)])
    for kind in (
        "order.paid",
        "order.rejected",
        "order.cancelled",
        "order.expired",
        "points.charged",
        "stock.adjusted",
    ):
        yield Breakage(rule, kind, [delete(outbox).where(outbox.c.kind == kind)])
    rule = "event-without-cause"
    yield Breakage(
        rule, f"request:{NO_ID} order.placed", [copied_row(outbox, outbox.c.request_id == paid, request_id=NO_ID)]
    )
    made_up = copied_row(outbox, outbox.c.request_id == paid, kind="order.cancelled")
    yield Breakage(rule, f"request:{paid} order.cancelled", [made_up])
    made_up = copied_row(outbox, outbox.c.request_id == paid, kind="order.rejected")
    yield Breakage(rule, f"request:{paid} order.rejected", [made_up])
    assert cancelled
    yield from stock_told_breakages(paid, ids["reserved"])


def stock_told_breakages(paid, reserved):
    """The newest level of a SKU without an event, with two, or with one of another key; events without a change."""
    rule, changed = "stock-told", outbox.c.kind == "stock.changed"
    newest = changed & (outbox.c.request_id == reserved)
    yield Breakage(rule, "stock:b version", [delete(outbox).where(newest)])
    yield Breakage(rule, "stock:b version", [copied_row(outbox, newest, seq=7)])
    yield Breakage(rule, "stock:b version", [update(outbox).where(newest).values(key="stock:a")])
    yield Breakage(rule, f"stock:a request:{reserved}", [update(outbox).where(newest).values(key="stock:a")])
    yield Breakage(rule, f"stock:b request:{NO_ID}", [copied_row(outbox, newest, request_id=NO_ID)])
    older = changed & (outbox.c.request_id == paid) & (outbox.c.key == "stock:a")
    yield Breakage(rule, f"stock:gift request:{paid}", [copied_row(outbox, older, key="stock:gift")])
    yield Breakage(rule, "stock:a version 3", [copied_row(outbox, older, seq=7)])


def sales_breakages():
    """Sums that have caught up, it is said, and hold nothing, another hour or another product; a window of nothing."""
    rule, hour_ms = "sales-sum", 1_699_999_200_000
    caught_up = insert(sales_progress).values(name="popular", position=2**40, counted_from_ms=0, as_of_ms=0)
    yield Breakage(rule, f"product:p-a hour {hour_ms}", [caught_up])
    wrong = insert(product_sales).values(hour_ms=hour_ms, product_id="p-b", quantity=2, revenue=601)
    yield Breakage(rule, f"product:p-b hour {hour_ms}", [caught_up, wrong])
    ghost = insert(product_sales).values(hour_ms=0, product_id="ghost", quantity=1, revenue=0)
    yield Breakage(rule, "product:ghost hour 0", [caught_up, ghost])
    window = insert(sales_windows).values(days=3, from_ms=0, to_ms=2**62)
    yield Breakage(rule, "product:ghost window of 3 days", [window, ghost])
    kept = insert(window_sales).values(days=3, product_id="ghost", quantity=1, revenue=1)
    yield Breakage(rule, "product:ghost window of 3 days", [kept])
