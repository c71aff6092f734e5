"""A user's cart, with today's prices and what is available now."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, select

from stockade.shop.model.fields import Available, Price, Quantity, SkuId
from stockade.shop.model.tables import cart_items, skus
from stockade.shop.queries.page import Page, check_limit, decode_cursor, page

_SCOPE = "cart"
_ITEMS = (
    select(cart_items.c.sku_id, cart_items.c.quantity, skus.c.price, skus.c.on_hand, skus.c.reserved, skus.c.hidden)
    .join_from(cart_items, skus, skus.c.id == cart_items.c.sku_id)
    .order_by(cart_items.c.sku_id)
)


class CartItem(msgspec.Struct, frozen=True):
    """One SKU in a cart; `price` is of one unit, in the smallest unit of the currency.

    A hidden product stays in the cart, with `on_sale` false and nothing available: an order of it is refused.
    """

    sku_id: SkuId
    quantity: Quantity
    price: Price
    available: Available
    on_sale: Annotated[bool, Meta(description="False while the product is hidden.", examples=[True])]


def cart(conn: Connection, user_id: str, *, limit: int = 100, cursor: str | None = None) -> Page[CartItem]:
    """A page of a user's cart, in SKU order; empty for a user who has none.

    Raises:
        BadQuery: limit or cursor is not allowed.
    """
    check_limit(limit)
    behind = decode_cursor(cursor, _SCOPE, str)
    statement = _ITEMS.where(cart_items.c.user_id == user_id)
    if behind is not None:
        statement = statement.where(cart_items.c.sku_id > behind[0])
    rows = conn.execute(statement.limit(limit + 1)).all()
    return page(
        rows,
        limit,
        _item,
        _SCOPE,
        lambda row: (row.sku_id,),
    )


def _item(row: Any) -> CartItem:
    available = 0 if row.hidden else row.on_hand - row.reserved
    return CartItem(row.sku_id, row.quantity, row.price, available, not row.hidden)
