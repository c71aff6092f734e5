"""Lists of orders, newest first: those of a user, and those that an administrator looks for.

A page reads one index from where the page before ended, so it costs the same at any depth. Made and refused orders
stand in two tables; a page of both is the newer part of two bounded reads. Neighbour: `orders` completes the rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, Select, Table, select

from stockade.shop.model import constants
from stockade.shop.model.tables import order_lines
from stockade.shop.model.tables import orders as order_table
from stockade.shop.model.tables import refused_orders as refused_table
from stockade.shop.queries.orders import Order, complete, refused_orders
from stockade.shop.queries.page import BadQuery, Page, after, check_limit, decode_cursor, encode_cursor
from stockade.store.index_order import in_index_order

MAX_EXAMINED = 2_000  # orders that one page reads when a filter has no index together with the others
GROWTH = 4  # each statement of such a page reads so many times more than the one before
ORDER_STATES = (
    constants.RESERVED,
    constants.PAYING,
    constants.PAID,
    constants.CANCELLED,
    constants.EXPIRED,
    constants.REJECTED,
)
_OF_USER, _OF_ALL = "orders", "all-orders"


class OrderFilter(NamedTuple):
    """Which orders a list shows; what is None does not matter.

    Attributes:
        user_id: of the buyer.
        status: one of ORDER_STATES.
        product_id: of a product in a line.
        since_ms: made at or after this time, in milliseconds since 1970.
        until_ms: made before this time.
    """

    user_id: str | None = None
    status: str | None = None
    product_id: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


class _Index(NamedTuple):
    """An index that leads to orders in the order of their time.

    Attributes:
        statement: selects rows with a time `created_ms` and an `id`.
        columns: the sort key.
        table: that the statement reads.
        name: of the index, for MariaDB and MySQL: without statistics they would read a whole table.
    """

    statement: Select[Any]
    columns: Sequence[ColumnElement[Any]]
    table: FromClause
    name: str


class _Listed(NamedTuple):
    """An order of the list: its place there, and its row, None where it was refused."""

    created_ms: int
    id: str
    row: Any = None


def orders(conn: Connection, user_id: str, *, limit: int = 20, cursor: str | None = None) -> Page[Order]:
    """A page of a user's orders, newest first, with those that were refused.

    Raises:
        BadQuery: limit or cursor is not allowed.
    """
    return _page(conn, OrderFilter(user_id), limit, cursor, _OF_USER)


def all_orders(conn: Connection, which: OrderFilter, *, limit: int = 20, cursor: str | None = None) -> Page[Order]:
    """A page of the orders of all users, newest first.

    One filter is searched by its index: the product, else the user, else the state, else the time. Where more than one
    of the first three is given, the others are compared with at most MAX_EXAMINED orders for each page. Such a page may
    have fewer items than `limit`, or none, and still a cursor.

    Args:
        conn: a connection to read on.
        which: orders. Those of a product are only made ones: a refused order names SKUs and no product.
        limit: items, 1 to MAX_LIMIT.
        cursor: of the page before, under the same filter.

    Raises:
        BadQuery: limit, cursor, or a combination of filters is not allowed.
    """
    if which.status is not None and which.status not in ORDER_STATES:
        raise BadQuery(f"status must be one of {', '.join(ORDER_STATES)}, not {which.status!r:.40}")
    if which.status == constants.REJECTED and which.product_id is not None:
        raise BadQuery("refused orders name SKUs, not products: leave out product_id or status")
    return _page(conn, which, limit, cursor, _OF_ALL)


def _page(conn: Connection, which: OrderFilter, limit: int, cursor: str | None, scope: str) -> Page[Order]:
    check_limit(limit)
    behind = decode_cursor(cursor, scope, int, str)
    listed: list[_Listed] = []
    examined: Sequence[Any] | None = None
    if which.status != constants.REJECTED:
        listed, examined = _made(conn, which, behind, limit)
    if which.product_id is None and which.status in (None, constants.REJECTED):
        refused = _read(conn, _by_time(refused_table, which), behind, limit + 1)
        listed = sorted([*listed, *(_Listed(row.created_ms, row.id) for row in refused)], reverse=True, key=_place)
    shown = listed[:limit]
    found = {each.order_id: each for each in complete(conn, [each.row for each in shown if each.row is not None])}
    found |= refused_orders(conn, [each.id for each in shown if each.row is None])
    last = _place(shown[-1]) if len(listed) > limit else examined
    items = [found[each.id] for each in shown if each.id in found]  # a purge may have come between
    return Page(items, None if last is None else encode_cursor(scope, last))


def _place(each: _Listed) -> tuple[int, str]:
    return each.created_ms, each.id


def _made(
    conn: Connection, which: OrderFilter, behind: Sequence[Any] | None, limit: int
) -> tuple[list[_Listed], Sequence[Any] | None]:
    """Up to `limit + 1` orders; where fewer are found among MAX_EXAMINED, also the place of the last examined one."""
    index, compared = _index_of(which)
    found: list[_Listed] = []
    examined, size = 0, limit + 1
    while examined < MAX_EXAMINED:
        keys = _read(conn, index, behind, size)
        found += _matching(keys if which.product_id is None else _rows(conn, keys), keys, compared)
        if len(found) > limit:
            return found[: limit + 1], None
        if len(keys) < size:
            return found, None
        behind = keys[-1].created_ms, keys[-1].id
        examined += size
        size = min(size * GROWTH, max(MAX_EXAMINED - examined, 1))
    return found, behind


def _matching(rows: Sequence[Any], keys: Sequence[Any], compared: Mapping[str, str]) -> list[_Listed]:
    """The rows whose columns have these values, once each, in the order of the keys."""
    by_id = {row.id: row for row in rows if all(getattr(row, name) == value for name, value in compared.items())}
    places = dict.fromkeys((key.created_ms, key.id) for key in keys)  # several lines of an order are one place
    return [_Listed(at_ms, id_, by_id[id_]) for at_ms, id_ in places if id_ in by_id]


def _rows(conn: Connection, keys: Sequence[Any]) -> Sequence[Any]:
    ids = [key.id for key in keys]
    return conn.execute(select(order_table).where(order_table.c.id.in_(ids))).all() if ids else []


def _read(conn: Connection, index: _Index, behind: Sequence[Any] | None, most: int) -> Sequence[Any]:
    statement = index.statement
    if behind is not None:
        statement = statement.where(after(index.columns, behind, descending=True))
    for dialect in ("mariadb", "mysql"):
        statement = statement.with_hint(index.table, f"FORCE INDEX ({index.name})", dialect)
    with in_index_order(conn):
        return conn.execute(statement.order_by(*(each.desc() for each in index.columns)).limit(most)).all()


def _index_of(which: OrderFilter) -> tuple[_Index, dict[str, str]]:
    """The index to read, and what the rows are compared with, by column."""
    compared = {name: value for name in ("user_id", "status") if (value := getattr(which, name)) is not None}
    if which.product_id is not None:
        return _by_product(which.product_id, which), compared
    index = _by_time(order_table, which)
    if which.user_id is None and which.status is not None:
        statement = index.statement.where(order_table.c.status == compared.pop("status"))
        index = index._replace(statement=statement, name="ix_orders_status_created_ms")
    compared.pop("user_id", None)  # in the index already
    return index, compared


def _by_time(table: Table, which: OrderFilter) -> _Index:
    """Of one user or of all; the rows of made orders, the keys of refused ones."""
    statement, name = select(table).where(*_within(table.c.created_ms, which)), f"ix_{table.name}_created_ms"
    if which.user_id is not None:
        statement = statement.where(table.c.user_id == which.user_id)
        name = f"ix_{table.name}_user_id_created_ms"
    return _Index(statement, (table.c.created_ms, table.c.id), table, name)


def _by_product(product_id: str, which: OrderFilter) -> _Index:
    """Each line of the product leads to its order."""
    time, order_id = order_lines.c.created_ms, order_lines.c.order_id
    keys = select(time, order_id.label("id")).where(order_lines.c.product_id == product_id, *_within(time, which))
    return _Index(keys, (time, order_id), order_lines, "ix_order_lines_product_id_created_ms")


def _within(column: ColumnElement[Any], which: OrderFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if which.since_ms is not None:
        found.append(column >= which.since_ms)
    if which.until_ms is not None:
        found.append(column < which.until_ms)
    return found
