"""Queries: synchronous functions over a connection, used as `await database.read(lambda c: queries.cart(c, id))`.

Each reads through an index and returns a frozen struct in the shape of the API, or None for what does not exist, or
raises BadQuery for a parameter that is not allowed. Neighbours: `model.tables` below, `shop.http` above.
"""

from stockade.shop.queries.cart import CartItem, cart
from stockade.shop.queries.charges import Charge, charge
from stockade.shop.queries.due import Due, due
from stockade.shop.queries.order_lists import ORDER_STATES, OrderFilter, all_orders, orders
from stockade.shop.queries.orders import Order, order
from stockade.shop.queries.page import MAX_LIMIT, BadQuery, Page
from stockade.shop.queries.payments import Payment, payment
from stockade.shop.queries.points import PointEntry, Points, point_entries, points
from stockade.shop.queries.popular import MAX_POPULAR, Popular, PopularProduct, popular
from stockade.shop.queries.products import Product, Sku, Stock, product, products, stock
from stockade.shop.queries.skus import SkuName, SkuStock, sku_names, stock_list
from stockade.shop.sales.hours import MAX_DAYS

__all__ = [
    "MAX_DAYS",
    "MAX_LIMIT",
    "MAX_POPULAR",
    "ORDER_STATES",
    "BadQuery",
    "CartItem",
    "Charge",
    "Due",
    "Order",
    "OrderFilter",
    "Page",
    "Payment",
    "PointEntry",
    "Points",
    "Popular",
    "PopularProduct",
    "Product",
    "Sku",
    "SkuName",
    "SkuStock",
    "Stock",
    "all_orders",
    "cart",
    "charge",
    "due",
    "order",
    "orders",
    "payment",
    "point_entries",
    "points",
    "popular",
    "product",
    "products",
    "sku_names",
    "stock",
    "stock_list",
]
