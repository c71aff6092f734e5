"""The database of all arms: a private durable server with one hot SKU, many buyers, and an audit.

The arms connect to its URL. Each run empties its tables before and audits them after.
"""

import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select, text, true

from stockade.devservers import Server, Servers
from stockade.service.ids import TIME_DIGITS, new_request_id
from stockade.shop.migrations import SCHEMA
from stockade.shop.model import tables
from stockade.shop.model.constants import ORDER_PLACED, POINTS
from stockade.store import Database
from stockade.store.postgres.dialect import POINT_LOOKUPS
from stockade.store.schema import tables as store_tables

HOT = "hot-sku"
PRODUCT = "hot-product"
PRICE = 1_000
STOCK = 1_000_000_000
BALANCE = 1_000_000_000
STRIDE = 7_919  # a prime: one order after the other touches another page of accounts
FINGERPRINT = "0" * 32
SEGMENT = 16 * 1024 * 1024  # bytes of PostgreSQL's log
SEGMENTS = 200  # what the longest benchmark writes
ANSWER_S = 120.0  # longest statement of a reset or an audit

# All arms get the query plans that our store pins: on fresh tables the planner would choose scans.
PLANS = {**POINT_LOOKUPS, "application_name": "benchmark"}

# No arm waits for a checkpoint or a vacuum that another arm has caused.
SERVER_SETTINGS: dict[str, dict[str, object]] = {
    "postgres": {
        "shared_buffers": "2GB",
        "max_wal_size": "8GB",
        "min_wal_size": "4GB",
        "checkpoint_timeout": "30min",
        "autovacuum": "off",  # each reset vacuums the hot row
    },
    "mariadb": {"innodb_buffer_pool_size": "2G", "innodb_log_file_size": "2G"},
}
_ALL = true()
GROWING = ("orders", "order_lines", "payments", "requests", "ledger", "outbox", "cart_items")
NUMBERS = {
    "postgres": "generate_series(0, {last}) AS n",
    "mariadb": "(SELECT seq AS n FROM seq_0_to_{last}) AS numbers",
}
ACCOUNTS = {
    "postgres": "'user-' || lpad(CAST(n AS text), 6, '0')",
    "mariadb": "CONCAT('user-', LPAD(n, 6, '0'))",
}


class Buy(NamedTuple):
    """One order to place: one unit of the hot SKU."""

    request_id: str
    user_id: str
    now_ms: int


class Sums(NamedTuple):
    """What the tables hold; `available` is what is on hand and not reserved."""

    available: int
    balance: int
    orders: int
    requests: int
    lines: int
    units: int
    totals: int
    payments: int
    amounts: int
    entries: int
    events: int


@dataclass(frozen=True, slots=True)
class BenchmarkDatabase:
    """A running database with data, and connections of its own to look at it.

    Attributes:
        server: its process.
        database: of the server.
        users: how many points accounts there are.
        pay: POINTS, at once; or LATER, for an order that reserves its unit.
    """

    server: Server
    database: Database
    users: int
    pay: str = POINTS
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def url(self) -> str:
        return self.server.url

    def next_buy(self) -> Buy:
        """The next order: a new id, as of a key that carries its time (docs/api.md), and a user who comes again only
        when all others have bought."""
        user = next(self._numbers) * STRIDE % self.users
        now_ms = time.time_ns() // 1_000_000
        return Buy(new_request_id(now_ms), user_id(user), now_ms)

    async def reset(self) -> Sums:
        """Empty the tables that grow, fill up the stock, vacuum the rows that are written; the sums to start from."""

        def body(connection: Connection) -> None:
            for name in GROWING:
                connection.execute(text(f"TRUNCATE TABLE {name}"))
            connection.execute(text(f"UPDATE skus SET on_hand = {STOCK}, reserved = 0"))
            if self.server.kind == "postgres":
                connection.execute(text("VACUUM skus"))
                connection.execute(text("VACUUM point_accounts"))

        await self.database.read(body, timeout_s=ANSWER_S)
        return await self.sums()

    async def sums(self) -> Sums:
        """What the tables hold now."""
        return await self.database.read(_sums, timeout_s=ANSWER_S)

    async def newest_ms(self) -> int:
        """The time that leads the last of the order ids: milliseconds since 1970."""
        last = select(func.max(tables.orders.c.id))
        return int((await self.database.read(lambda c: c.execute(last).scalar_one()))[:TIME_DIGITS], 16)

    async def audit(self, before: Sums, accepted: int | None = None) -> int:
        """Compare the tables with each other, and with the responses.

        Args:
            before: what `reset` returned.
            accepted: how many orders the responses say are placed; None if only the tables know.

        Returns:
            How many orders have come since.

        Raises:
            AssertionError: an order was lost, invented, sold twice, or paid wrongly.
        """
        found = await self.sums()
        placed = found.orders - before.orders if accepted is None else accepted
        at_once = self.pay == POINTS
        owed = placed * PRICE
        paid = owed if at_once else 0
        more = Sums(
            available=-placed,
            balance=-paid,
            orders=placed,
            requests=placed,
            lines=placed,
            units=placed,
            totals=owed,
            payments=placed if at_once else 0,
            amounts=paid,
            entries=2 * placed if at_once else placed,
            events=placed,
        )
        right = Sums(*(was + by for was, by in zip(before, more, strict=True)))
        if found != right:
            raise AssertionError(f"{placed} orders should leave {right}, the tables hold {found}")
        return placed


def user_id(number: int) -> str:
    """The id of the buyer of this number."""
    return f"user-{number:06d}"


def _sums(connection: Connection) -> Sums:
    def ask(*columns: object, where: ColumnElement[bool] = _ALL) -> tuple[int, ...]:
        statement = select(*columns).where(where)  # type: ignore[call-overload]
        return tuple(int(value or 0) for value in connection.execute(statement).one())

    count, total = func.count, func.sum
    orders, lines, payments = tables.orders.c, tables.order_lines.c, tables.payments.c
    (available,) = ask(total(tables.skus.c.on_hand - tables.skus.c.reserved))
    (balance,) = ask(total(tables.point_accounts.c.balance))
    placed, totals = ask(count(orders.id), total(orders.total))
    (requests,) = ask(count(store_tables.requests.c.id))
    line_count, units = ask(count(lines.line), total(lines.quantity))
    paid, amounts = ask(count(payments.id), total(payments.amount))
    (entries,) = ask(count(store_tables.ledger.c.kind))
    (events,) = ask(count(store_tables.outbox.c.id), where=store_tables.outbox.c.kind == ORDER_PLACED)
    return Sums(available, balance, placed, requests, line_count, units, totals, paid, amounts, entries, events)


async def insert_users(database: Database, users: int) -> None:
    """One product with one SKU, and `users` accounts full of points, in bulk."""
    kind = database.dialect.name
    numbers, account = NUMBERS[kind].format(last=users - 1), ACCOUNTS[kind]

    def body(connection: Connection) -> None:
        connection.execute(
            tables.products.insert(),
            {"id": PRODUCT, "name": "Hot", "category": "benchmark", "status": "ACTIVE", "created_ms": 0},
        )
        connection.execute(
            tables.skus.insert(),
            {
                "id": HOT,
                "product_id": PRODUCT,
                "price": PRICE,
                "on_hand": STOCK,
                "reserved": 0,
                "version": 1,
                "stamp": 0,
            },
        )
        connection.execute(
            text(
                "INSERT INTO point_accounts (id, balance, held, version, stamp) "
                f"SELECT {account}, {BALANCE}, 0, 1, 0 FROM {numbers}"
            )
        )

    await database.transaction(body, deadline=time.monotonic() + ANSWER_S)
    if kind == "postgres":
        await database.read(lambda connection: connection.execute(text("VACUUM ANALYZE")), timeout_s=ANSWER_S)


def fill_log(connection: Connection) -> int:
    """Use so many segments of the log that the next ones are old ones, as on any server that has run for a while.

    A segment that is not there yet is first written full of zeros and flushed, while everybody waits: 50 ms for each
    16 MB of log, which 5,000 orders fill. To be done before the rows are made: after a checkpoint a page that is
    changed is logged as a whole.

    Returns:
        How many segments are used by then.
    """
    for _ in range(SEGMENTS):
        connection.execute(text("SELECT pg_logical_emit_message(false, 'benchmark', 'next')"))
        connection.execute(text("SELECT pg_switch_wal()"))
    connection.execute(text("CHECKPOINT"))
    return logged(connection) // SEGMENT


def logged(connection: Connection) -> int:
    """Bytes of PostgreSQL's log so far."""
    written = "SELECT CAST(pg_current_wal_lsn() - '0/0' AS bigint)"
    return int(connection.execute(text(written)).scalar_one())


def _execute(statement: str, connection: Connection) -> None:
    connection.execute(text(statement))


@asynccontextmanager
async def open_target(
    users: int,
    kind: str = "postgres",
    max_connections: int = 300,
    earlier: Sequence[str] = (),
) -> AsyncIterator[BenchmarkDatabase]:
    """Start a private server that flushes each commit to disk, create our schema, insert the rows.

    Args:
        users: points accounts to make.
        kind: `postgres` or `mariadb`.
        max_connections: of the server.
        earlier: statements that write rows which are there already, before anything is prepared for the runs.
    """
    with Servers() as servers:
        start = {"postgres": servers.postgres, "mariadb": servers.mariadb}[kind]
        server = start(durable=True, max_connections=max_connections, **SERVER_SETTINGS[kind])
        database = await Database.open(server.url, pool_size=1, wait_s=ANSWER_S)
        try:
            await SCHEMA.migrate(database)
            for statement in earlier:
                await database.transaction(partial(_execute, statement), deadline=time.monotonic() + ANSWER_S)
            before = await database.read(fill_log, timeout_s=ANSWER_S) if kind == "postgres" else 0
            await insert_users(database, users)
            yield BenchmarkDatabase(server, database, users)
            used = await database.read(logged) // SEGMENT - before if kind == "postgres" else 0
            if (
                used > SEGMENTS and not earlier
            ):  # over large tables there are checkpoints, which make segments free again
                print(f"the log took {used} segments, and {SEGMENTS} were there: the last runs waited for new ones")
        finally:
            await database.close()
