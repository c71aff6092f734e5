"""SKUs for pages: the names of their products, and the stock of all of them for administrators."""

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from stockade.shop.model.tables import products, skus
from stockade.shop.queries.page import Page, check_limit, decode_cursor, page

_SCOPE = "skus"
_NAMES = select(skus.c.id, skus.c.product_id, products.c.name, products.c.category).join_from(
    skus, products, products.c.id == skus.c.product_id
)
_STOCK = _NAMES.add_columns(skus.c.price, skus.c.on_hand, skus.c.reserved, skus.c.hidden).order_by(skus.c.id)


class SkuName(NamedTuple):
    """What a SKU is a kind of."""

    product_id: str
    name: str
    category: str


class SkuStock(NamedTuple):
    """A SKU with its stock, for an administrator. available = on_hand - reserved."""

    sku_id: str
    product: SkuName
    price: int
    on_hand: int
    reserved: int
    available: int
    hidden: bool


def sku_names(conn: Connection, sku_ids: Collection[str]) -> dict[str, SkuName]:
    """The products of these SKUs, by SKU; unknown ones are left out."""
    if not sku_ids:
        return {}
    rows = conn.execute(_NAMES.where(skus.c.id.in_(sorted(sku_ids))))
    return {row.id: SkuName(row.product_id, row.name, row.category) for row in rows}


def stock_list(conn: Connection, *, limit: int = 20, cursor: str | None = None) -> Page[SkuStock]:
    """A page of all SKUs, also of hidden products, in the order of their ids.

    Raises:
        BadQuery: limit or cursor is not allowed.
    """
    check_limit(limit)
    behind = decode_cursor(cursor, _SCOPE, str)
    statement = _STOCK if behind is None else _STOCK.where(skus.c.id > behind[0])
    rows = conn.execute(statement.limit(limit + 1)).all()
    return page(rows, limit, _stock, _SCOPE, lambda row: (row.id,))


def _stock(row: Any) -> SkuStock:
    name = SkuName(row.product_id, row.name, row.category)
    available = row.on_hand - row.reserved
    return SkuStock(row.id, name, row.price, row.on_hand, row.reserved, available, bool(row.hidden))
