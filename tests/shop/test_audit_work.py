"""Work grows with the shop, not with its square: the rows that each statement touches are counted at two sizes.

Every statement that may read a whole table is here, on each database, with statistics and without: a planner that knows
nothing, or knows what was true when the tables were empty, must not compare every record with every other. SQLite makes
an index of its own for a join that has none, so it would hide what PostgreSQL and MariaDB do.
"""

import time
from contextlib import ExitStack, asynccontextmanager
from functools import partial

import pytest
from sqlalchemy import func, select, text

from benchmarks.big_shop import Size, fill
from stockade.service import purge
from stockade.service.audit.rule_types import Scope
from stockade.service.relay import Inbox
from stockade.shop import queries
from stockade.shop.audit import RULES, audit, summary
from stockade.shop.audit.rules import SCREENS
from stockade.shop.migrations import SCHEMA
from stockade.store import Database
from stockade.store.consumer_offsets import ConsumerOffsets
from stockade.store.outbox import Outbox
from stockade.store.schema.tables import ledger
from tests.conftest import fresh
from tests.databases import CREATED
from tests.shop.rows_touched import EVERY, rows_touched

ORDERS = 1_500
PASS = 2.5  # how much more a pass over twice the shop may be
PAGE = 1.3  # and a page, or a batch, of it
BUYER, LATER_MS = "user-5", 2**42
WAIT_S = 60.0


def reading(query, *args, **named):
    """Work of one query."""
    return lambda database: database.read(lambda conn: query(conn, *args, **named), timeout_s=WAIT_S)


def second_page(query, *args, **named):
    """Work of a query that goes on behind a first page."""

    def pages(conn):
        cursor = query(conn, *args, **named, limit=2).next_cursor
        return query(conn, *args, **named, limit=2, cursor=cursor)

    return lambda database: database.read(pages, timeout_s=WAIT_S)


def purging(database):
    """One batch of the purge of requests."""
    body = partial(purge.purge_requests, before_ms=LATER_MS, cursor=purge.BEGINNING, limit=100)
    return database.transaction(body, deadline=time.monotonic() + WAIT_S)


async def relaying(database):
    """One turn of a relay."""
    outbox = Outbox(database, wait_s=WAIT_S)
    await outbox.open()
    await outbox.exchange(None, 10, LATER_MS)


WORK = {
    **{rule.id: (reading(lambda conn, r=rule: list(r(conn, Scope()))), PASS) for rule in RULES},
    **{screen.name: (reading(screen.look), PASS) for screen in SCREENS},
    "audit": (reading(audit), PASS),
    "summary": (reading(summary), PASS),
    "popular": (reading(queries.popular, now_ms=Size.of(2 * ORDERS).ends_ms, days=30), PASS),
    "popular by revenue": (reading(queries.popular, now_ms=Size.of(2 * ORDERS).ends_ms, days=30, by="revenue"), PASS),
    "lag": (lambda database: Outbox(database).lag(), PASS),
    "due": (reading(queries.due, now_ms=LATER_MS, limit=10), PAGE),
    "orders": (second_page(queries.orders, BUYER), PAGE),
    "all orders": (second_page(queries.all_orders, queries.OrderFilter()), PAGE),
    "orders in a state": (second_page(queries.all_orders, queries.OrderFilter(status="CANCELLED")), PAGE),
    "orders of a product": (second_page(queries.all_orders, queries.OrderFilter(product_id="product-4")), PAGE),
    "orders of a product in a state": (
        second_page(queries.all_orders, queries.OrderFilter(product_id="product-4", status="PAID")),
        PAGE,
    ),
    "orders of a user in a state": (
        second_page(queries.all_orders, queries.OrderFilter(user_id=BUYER, status="PAID")),
        PAGE,
    ),
    "refused orders": (second_page(queries.all_orders, queries.OrderFilter(status="REJECTED")), PAGE),
    "orders of a time": (second_page(queries.all_orders, queries.OrderFilter(until_ms=LATER_MS)), PAGE),
    "entries": (second_page(queries.point_entries, BUYER), PAGE),
    "cart": (reading(queries.cart, BUYER), PAGE),
    "products": (second_page(queries.products), PAGE),
    "products by price": (second_page(queries.products, sort="price"), PAGE),
    "products by price, dear ones first": (second_page(queries.products, sort="price", descending=True), PAGE),
    "purge requests": (purging, PAGE),
    "forget events": (lambda database: Outbox(database).purge(LATER_MS, batch=100, max_batches=2), PAGE),
    "forget what a consumer dealt with": (reading(lambda conn: Inbox("c").forget(conn, LATER_MS)), PAGE),
    "dead letters": (lambda database: Outbox(database).dead(2), PAGE),
    "relay": (relaying, PAGE),
    "positions": (lambda database: ConsumerOffsets(database, "t").read(), PAGE),
}


@asynccontextmanager
async def shop_of(orders, url, statistics):
    """A database with so many orders; without statistics, it has those of empty tables, or none at all."""
    await CREATED.migrate(url, SCHEMA)
    database = await Database.open(url, pool_size=2, wait_s=WAIT_S)
    try:
        before, after = statements(database.dialect.name)
        await database.transaction(partial(run, before), deadline=time.monotonic() + WAIT_S)
        size = Size.of(orders)
        await database.transaction(partial(fill, size=size), deadline=time.monotonic() + WAIT_S)
        if statistics:
            await database.transaction(partial(run, after), deadline=time.monotonic() + WAIT_S)
        yield database
    finally:
        await database.close()


def statements(kind):
    """What keeps a database from making statistics by itself, and what makes them."""
    names = [each.name for each in SCHEMA.tables]
    match kind:
        case "postgres":
            return [f"ALTER TABLE {name} SET (autovacuum_enabled = off)" for name in names], ["ANALYZE"]
        case "sqlite":
            return [], ["ANALYZE"]
        case _:
            kept = [f"ALTER TABLE {name} STATS_AUTO_RECALC = 0" for name in names]
            return kept, [f"ANALYZE TABLE {', '.join(names)}"]


def run(wanted, conn):
    """Run statements."""
    for statement in wanted:
        conn.execute(text(statement))


async def touched(database, work):
    """How many rows some work touches."""
    with rows_touched() as counted:
        await work(database)
    return counted.count


@pytest.fixture
async def shops(request, server_url, tmp_path):
    """A shop and one with twice as many orders, on the database and with the statistics that the test names."""
    kind, statistics = request.param
    with ExitStack() as stack:
        urls = [
            f"sqlite:///{tmp_path / name}.sqlite" if kind == "sqlite" else stack.enter_context(fresh(server_url(kind)))
            for name in ("1", "2")
        ]
        async with shop_of(ORDERS, urls[0], statistics) as small, shop_of(2 * ORDERS, urls[1], statistics) as large:
            yield small, large


KINDS = {"sqlite": (), "postgres": (pytest.mark.postgres,), "mariadb": (pytest.mark.mariadb,)}
EACH = [
    pytest.param((kind, statistics), marks=marks, id=f"{kind}-{'analysed' if statistics else 'unknown'}")
    for kind, marks in KINDS.items()
    for statistics in (False, True)
]


@pytest.mark.parametrize("shops", EACH, indirect=True)
async def test_twice_the_shop_is_twice_the_work(shops):
    """No statement compares every record with every other, no page costs more in a larger shop; the control does."""
    too_much = {}
    for name, (work, most) in WORK.items():
        small, large = [max(1, await touched(shop, work)) for shop in shops]
        if large > most * small + EVERY:
            too_much[name] = small, large
    assert too_much == {}
    small, large = [await touched(shop, reading(all_with_all)) for shop in shops]
    assert large > 3 * small


def all_with_all(conn):
    """The control: entries of points against each other, by an expression that no index knows."""
    other = ledger.alias()
    pairs = select(func.count()).join_from(ledger, other, func.length(ledger.c.row_id) == func.length(other.c.row_id))
    return conn.execute(pairs.where(ledger.c.kind == "order", other.c.kind == "order")).all()
