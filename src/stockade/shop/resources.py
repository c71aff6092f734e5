"""Pairs the shop's states with the store's tables."""

from stockade.shop.states import LineState, OrderState, PaymentState, PointsState, StockState
from stockade.store import tables
from stockade.store.resource import Resource

STOCK = Resource("stock", tables.skus, StockState, counters=("on_hand", "reserved"), fixed=("product_id",))
POINTS = Resource("points", tables.point_accounts, PointsState, counters=("balance", "held"), zero=PointsState(0, 0))
ORDER = Resource("order", tables.orders, OrderState, fixed=("user_id", "total", "pay", "created_ms"))
LINES = Resource("lines", tables.order_lines, LineState, many=True, parent="order_id")
PAYMENT = Resource(
    "payment", tables.payments, PaymentState, fixed=("order_id", "user_id", "method", "amount", "created_ms")
)

SHOP_RESOURCES = (STOCK, POINTS, ORDER, LINES, PAYMENT)
