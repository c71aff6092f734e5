"""No query reads more than it must: SQLite says for each statement whether it searches an index or scans a table."""

import pytest
from sqlalchemy import create_engine, event, insert

from stockade.shop import queries
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.tables import sales_progress, sales_windows
from tests.shop.lived_in import lived_in

SHOP, IDS = lived_in()
W = queries.OrderFilter
# Walking an index in its order until the page is full is no full scan; a search by a part of a name is one by nature.
WALKS = (
    "SCAN products USING INDEX sqlite_autoindex_products_1",
    "SCAN skus USING INDEX sqlite_autoindex_skus_1",
    "SCAN orders USING INDEX ix_orders_created_ms",
    "SCAN refused_orders USING INDEX ix_refused_orders_created_ms",
)
QUERIES = {
    "products": lambda c: queries.products(c, limit=1),
    "products behind": lambda c: queries.products(c, cursor=queries.products(c, limit=1).next_cursor),
    "product": lambda c: queries.product(c, "p-a"),
    "stock": lambda c: queries.stock(c, "a"),
    "stock of all": lambda c: queries.stock_list(c, cursor=queries.stock_list(c, limit=1).next_cursor),
    "names of SKUs": lambda c: queries.sku_names(c, ["a", "b"]),
    "points": lambda c: queries.points(c, "u"),
    "entries": lambda c: queries.point_entries(c, "u", cursor=queries.point_entries(c, "u", limit=1).next_cursor),
    "cart": lambda c: queries.cart(c, "v"),
    "order": lambda c: queries.order(c, IDS["paid"], "u"),
    "refused order": lambda c: queries.order(c, IDS["refused"], "v"),
    "orders": lambda c: queries.orders(c, "u", cursor=queries.orders(c, "u", limit=1).next_cursor),
    "hidden products": lambda c: queries.products(c, status="HIDDEN"),
    "all orders": lambda c: queries.all_orders(c, W(), cursor=queries.all_orders(c, W(), limit=1).next_cursor),
    "orders since": lambda c: queries.all_orders(c, W(since_ms=1, until_ms=2**41)),
    "orders of a user": lambda c: queries.all_orders(c, W(user_id="u")),
    "orders of a user in a state": lambda c: queries.all_orders(c, W(user_id="u", status="PAID")),
    "orders in a state": lambda c: queries.all_orders(c, W(status="PAID")),
    "refused orders": lambda c: queries.all_orders(c, W(status="REJECTED")),
    "orders of a product": lambda c: queries.all_orders(c, W(product_id="p-a")),
    "orders of a product in a state": lambda c: queries.all_orders(c, W(product_id="p-a", status="PAID", user_id="u")),
    "payment": lambda c: queries.payment(c, IDS["paid"], "u"),
    "popular": lambda c: queries.popular(c, now_ms=SHOP.now_ms),
    "due": lambda c: queries.due(c, now_ms=SHOP.now_ms),
}


@pytest.fixture(scope="module")
def engine():
    """The lived-in shop on SQLite."""
    engine = create_engine("sqlite://")
    with engine.begin() as conn:
        SCHEMA.create(conn)
        SHOP.fill(conn)
    yield engine
    engine.dispose()


def plans(engine, query):
    """The plan lines of every statement that a query sends."""
    with engine.connect() as conn:
        return sent_plans(conn, query)


def sent_plans(conn, query):
    """The same on an open connection."""
    sent = []

    def remember(conn, cursor, statement, parameters, context, many):
        sent.append((statement, parameters))

    event.listen(conn, "before_cursor_execute", remember)
    query(conn)
    event.remove(conn, "before_cursor_execute", remember)
    return [
        row[3]
        for statement, parameters in sent
        for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    ]


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_searches_an_index(engine, name):
    """No table is scanned, but for walks along an index in its order, and nothing large is sorted."""
    lines = plans(engine, QUERIES[name])
    assert any(line.startswith("SEARCH") for line in lines)
    scans = [line for line in lines if line.startswith("SCAN ") and line not in WALKS]
    assert [line for line in scans if not line.startswith("SCAN anon_")] == []  # the rows of a part of the same query


def test_popular_starts_at_the_window(engine):
    """Without sums the orders of the window are found by their time, their lines by their key."""
    lines = plans(engine, QUERIES["popular"])
    assert any("ix_orders_" in line and "created_ms>? AND created_ms<?)" in line for line in lines)
    assert any("SEARCH order_lines" in line and "(order_id=?)" in line for line in lines)


@pytest.mark.parametrize("by", ["quantity", "revenue"])
def test_popular_reads_the_best_of_a_window_in_order(engine, by):
    """The sums of a kept window are read in the order of an index, and only as many as are asked for."""
    with engine.connect() as conn, conn.begin() as undone:
        conn.execute(insert(sales_progress).values(name="popular", position=2**40, counted_from_ms=0, as_of_ms=0))
        conn.execute(insert(sales_windows).values(days=3, from_ms=0, to_ms=2**62))
        lines = sent_plans(conn, lambda c: queries.popular(c, now_ms=SHOP.now_ms, by=by))
        undone.rollback()
    (best,) = (line for line in lines if "window_sales" in line)
    assert best.startswith(f"SEARCH window_sales USING INDEX ix_window_sales_{by} (days=?")
    assert sum("TEMP B-TREE" in line for line in lines) == 1, "the few that were found, with their names"


def test_due_uses_the_index_of_reservations(engine):
    """The partial index holds reserved orders only, and is walked in its order."""
    lines = plans(engine, QUERIES["due"])
    assert any("ix_orders_reserved_until_ms" in line for line in lines)


def test_a_scan_would_be_seen(engine):
    """The control: a query by a column without index is a scan."""
    lines = plans(engine, lambda c: c.exec_driver_sql("SELECT id FROM orders WHERE reason = 'x'"))
    assert any(line.startswith("SCAN orders") for line in lines)
