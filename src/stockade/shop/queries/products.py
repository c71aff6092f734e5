"""Products with their SKUs, and the stock of one SKU. Stock is never cached."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import ColumnElement, Connection, and_, bindparam, exists, func, or_, select

from stockade.core.case_folding import folded
from stockade.shop.model import constants
from stockade.shop.model.fields import (
    Available,
    Category,
    Name,
    OnHand,
    Price,
    ProductId,
    ProductStatus,
    Reserved,
    SkuId,
    Version,
)
from stockade.shop.model.limits import is_text
from stockade.shop.model.tables import product_name_parts as parts
from stockade.shop.model.tables import products as product_table
from stockade.shop.model.tables import skus as sku_table
from stockade.shop.queries.name_search import Candidates, candidates
from stockade.shop.queries.page import BadQuery, Page, after, check_limit, decode_cursor, page
from stockade.store.index_order import in_index_order, without_index

MAX_SEARCH = 200  # characters


class Sku(msgspec.Struct, frozen=True):
    """A SKU as a list of products shows it."""

    id: SkuId
    price: Price
    available: Available


class Product(msgspec.Struct, frozen=True):
    """A product with its SKUs in id order; `version` counts its edits."""

    id: ProductId
    name: Name
    category: Category
    status: ProductStatus
    version: Version
    skus: Annotated[list[Sku], Meta(description="Its SKUs, in the order of their ids.")]


class Stock(msgspec.Struct, frozen=True):
    """The stock of one SKU. available = on_hand - reserved."""

    sku_id: SkuId
    on_hand: OnHand
    reserved: Reserved
    available: Available


_PRODUCT = select(
    product_table.c.id,
    product_table.c.name,
    product_table.c.category,
    product_table.c.status,
    product_table.c.version,
)
_ONE = _PRODUCT.where(product_table.c.id == bindparam("id"))
_SKUS = select(
    sku_table.c.product_id, sku_table.c.id, sku_table.c.price, sku_table.c.on_hand, sku_table.c.reserved
).order_by(sku_table.c.product_id, sku_table.c.id)
_STOCK = select(sku_table.c.on_hand, sku_table.c.reserved).where(sku_table.c.id == bindparam("id"))


def products(
    conn: Connection,
    *,
    q: str = "",
    sort: str = "id",
    descending: bool = False,
    status: str = constants.ACTIVE,
    limit: int = 20,
    cursor: str | None = None,
) -> Page[Product]:
    """A page of products.

    Args:
        conn: a connection to read on.
        q: a part of the name, in any case; empty for all. A text that few names have is found by an index; for one that
            many have the list is read until the page is full.
        sort: `id`, or `price`: the price of the product's cheapest SKU, then its id.
        descending: the other way round.
        status: ACTIVE or HIDDEN.
        limit: items, 1 to MAX_LIMIT.
        cursor: of the page before.

    Raises:
        BadQuery: a parameter is not allowed.
    """
    check_limit(limit)
    _check(q, sort, status)
    scope = f"products:{sort}:{'desc' if descending else 'asc'}"
    behind = decode_cursor(cursor, scope, *((int, str) if sort == "price" else (str,)))
    few, part = candidates(conn, folded(q)) if q else Candidates(None)
    columns, statement = _by_price() if sort == "price" else _by_id(part)
    # the index of statuses has the order of ids alone, and of all products
    in_status = without_index(conn, product_table.c.status) if sort == "price" or part else product_table.c.status
    statement = statement.where(in_status == status)
    if q:
        statement = _having(statement, q, few)
    if behind is not None and sort == "price":
        statement = statement.where(after(columns, behind, descending=descending))
    elif behind is not None:
        column = columns[0]
        statement = statement.where(column < behind[0] if descending else column > behind[0])
    order = [column.desc() if descending else column for column in columns]
    with in_index_order(conn) if q and few is None and sort == "id" else nullcontext():
        rows = conn.execute(statement.order_by(*order).limit(limit + 1)).all()
    skus = _skus_of(conn, [row.id for row in rows[:limit]])

    def key(row: Any) -> Sequence[str | int]:
        return (row.cheapest, row.id) if sort == "price" else (row.id,)

    return page(rows, limit, lambda row: _product(row, skus), scope, key)


def _check(q: str, sort: str, status: str) -> None:
    if sort not in ("id", "price"):
        raise BadQuery(f"sort must be id or price, not {sort!r}")
    if len(q) > MAX_SEARCH or not is_text(q):
        raise BadQuery(f"q must have at most {MAX_SEARCH} printable characters")
    if status not in (constants.ACTIVE, constants.HIDDEN):
        raise BadQuery(f"status must be {constants.ACTIVE} or {constants.HIDDEN}, not {status!r:.40}")


def _having(statement: Any, q: str, ids: Sequence[str] | None) -> Any:
    """Those with a text in their names, of these ids; None: of all."""
    return statement.where(_named(q)) if ids is None else statement.where(product_table.c.id.in_(ids), _named(q))


def _named(q: str) -> ColumnElement[bool]:
    """Whether a product's name contains this text in any case.

    During an upgrade, a process of a version before revision 0003 leaves the folded name of a new product empty. Then
    the database compares the name itself: as it is, and in lower case of the letters that it knows.
    """
    folded_name, name = product_table.c.folded_name, product_table.c.name
    as_given = or_(name.contains(q, autoescape=True), func.lower(name).contains(q.lower(), autoescape=True))
    return or_(folded_name.contains(folded(q), autoescape=True), and_(folded_name == "", as_given))


def product(conn: Connection, product_id: str, *, hidden: bool = False) -> Product | None:
    """One product, or None.

    Args:
        conn: a connection to read on.
        product_id: of the product.
        hidden: whether a hidden product is there too.
    """
    row = conn.execute(_ONE, {"id": product_id}).one_or_none()
    if row is None or (row.status == constants.HIDDEN and not hidden):
        return None
    return _product(row, _skus_of(conn, [product_id]))


def stock(conn: Connection, sku_id: str) -> Stock | None:
    """The stock of a SKU as it is now, or None."""
    row = conn.execute(_STOCK, {"id": sku_id}).one_or_none()
    return None if row is None else Stock(sku_id, row.on_hand, row.reserved, row.on_hand - row.reserved)


def _by_id(part: str) -> tuple[list[Any], Any]:
    """Products in the order of their ids: all, or those whose names have a part, in which the index of parts has them.

    Args:
        part: of names; empty for all products.
    """
    if not part:
        return [product_table.c.id], _PRODUCT
    of_part = parts.c.product_id == product_table.c.id
    statement = _PRODUCT.select_from(parts).join(product_table, of_part).where(parts.c.part == part)
    for name in ("mysql", "mariadb"):
        statement = statement.prefix_with("STRAIGHT_JOIN", dialect=name)
    return [parts.c.product_id], statement


def _by_price() -> tuple[list[Any], Any]:
    """Each product once with the price of its cheapest SKU: reads the index on (price, product_id) as far as needed."""
    cheapest, other = sku_table.alias("cheapest"), sku_table.alias("other")
    cheaper = or_(
        other.c.price < cheapest.c.price,
        (other.c.price == cheapest.c.price) & (other.c.id < cheapest.c.id),
    )
    statement = (
        _PRODUCT.add_columns(cheapest.c.price.label("cheapest"))
        .join(cheapest, cheapest.c.product_id == product_table.c.id)
        .where(~exists().where(other.c.product_id == cheapest.c.product_id, cheaper))
    )
    return [cheapest.c.price, cheapest.c.product_id], statement


def _skus_of(conn: Connection, product_ids: Sequence[str]) -> dict[str, list[Sku]]:
    found: dict[str, list[Sku]] = {id_: [] for id_ in product_ids}
    if found:
        for row in conn.execute(_SKUS.where(sku_table.c.product_id.in_(product_ids))):
            found[row.product_id].append(Sku(row.id, row.price, row.on_hand - row.reserved))
    return found


def _product(row: Any, skus: dict[str, list[Sku]]) -> Product:
    return Product(row.id, row.name, row.category, row.status, row.version, skus[row.id])
