"""Pairs the shop's states with the shop's tables."""

from stockade.core import Event, JsonValue, Row
from stockade.shop.model import constants, tables
from stockade.shop.model.states import (
    AttemptState,
    CancelledLine,
    ChargeState,
    LineState,
    OrderState,
    PaymentState,
    PointsState,
    ProductState,
    RefundState,
    SkuOfProduct,
    StockState,
)
from stockade.store.schema.resource import Resource


def stock_changed(before: Row, after: Row) -> Event:
    """The event of a SKU: its stock, and the versions of the row that the event covers."""
    state: StockState = after.state
    body: dict[str, JsonValue] = {
        "sku_id": after.key.id,
        "on_hand": state.on_hand,
        "reserved": state.reserved,
        "available": state.available,
        "version": after.version,
        "since_version": before.version,
    }
    return Event(constants.STOCK_CHANGED, after.key, body)


STOCK = Resource(
    "stock",
    tables.skus,
    StockState,
    counters=("on_hand", "reserved"),
    fixed=("product_id",),
    change_event=stock_changed,
)
POINTS = Resource("points", tables.point_accounts, PointsState, counters=("balance", "held"), zero=PointsState(0, 0))
ORDER = Resource("order", tables.orders, OrderState, fixed=("user_id", "total", "pay", "created_ms"))
LINES = Resource("lines", tables.order_lines, LineState, many=True, parent="order_id")
# Sorts after "order", so it is read when the order is locked, or after the version of the order that a write compares:
# a cancellation that is missing here has not changed the order yet, and then one of the two is decided again. Commands
# ask for it by `need_keys` and never name it in `keys`: one that needs it is decided alone (`commands.cancelled`).
CANCELLED_LINES = Resource("order_cancelled", tables.cancelled_lines, CancelledLine, many=True, parent="order_id")
PAYMENT = Resource(
    "payment", tables.payments, PaymentState, fixed=("order_id", "user_id", "method", "amount", "created_ms")
)
PRODUCT = Resource("product", tables.products, ProductState, fixed=("created_ms",))
SKUS_OF_PRODUCT = Resource("skus", tables.skus, SkuOfProduct, many=True, parent="product_id")
CHARGE = Resource("charge", tables.point_charges, ChargeState, fixed=("user_id", "amount", "currency", "created_ms"))
ATTEMPT = Resource("attempt", tables.payment_attempts, AttemptState, fixed=AttemptState._fields[:10])
REFUND = Resource("refund", tables.refunds, RefundState, fixed=RefundState._fields[:6])

SHOP_RESOURCES = (
    STOCK,
    POINTS,
    ORDER,
    LINES,
    CANCELLED_LINES,
    PAYMENT,
    PRODUCT,
    SKUS_OF_PRODUCT,
    CHARGE,
    ATTEMPT,
    REFUND,
)
