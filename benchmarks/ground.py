"""The ground that every arm stands on: a private durable PostgreSQL with one hot SKU, many buyers, and an audit.

Neighbours: `harness` resets it before and audits it after each run; the arms take their connections from its URL.
"""

import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import getrandbits
from typing import Any, NamedTuple

import asyncpg

from stockade.lab.servers import Server, Servers
from stockade.store import Database
from stockade.store.migrate import migrate
from stockade.store.postgres import POINT_LOOKUPS

HOT = "hot-sku"
PRODUCT = "hot-product"
PRICE = 1_000
STOCK = 1_000_000_000
BALANCE = 1_000_000_000
STRIDE = 7_919  # a prime: one order after the other touches another page of accounts
FINGERPRINT = "0" * 32

# Every arm, ours and the others', gets the plans that our store pins: fresh tables tempt the planner into scans.
PLANS = {**POINT_LOOKUPS, "application_name": "benchmark"}

SERVER_SETTINGS: dict[str, object] = {
    "shared_buffers": "2GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",  # no arm pays for the full page images of another arm's checkpoint
    "autovacuum": "off",  # the reset before each run vacuums the hot row; nothing else may start in the middle
}

_EMPTY = "TRUNCATE orders, order_lines, payments, requests, ledger, outbox, cart_items"


class Buy(NamedTuple):
    """One order to place: one unit of the hot SKU, paid with points."""

    request_id: str
    user_id: str
    now_ms: int


class Sums(NamedTuple):
    """What the tables say was sold and paid."""

    on_hand: int
    balance: int


@dataclass(frozen=True, slots=True)
class Ground:
    """A running database with data, and a connection of its own to look at it.

    Attributes:
        url: of the database.
        server: its process.
        users: how many points accounts there are.
    """

    url: str
    server: Server
    users: int
    control: Any
    _numbers: "itertools.count[int]"

    def next_buy(self) -> Buy:
        """The next order: a new id, and another user than the last 199,999 orders."""
        user = next(self._numbers) * STRIDE % self.users
        return Buy(f"{getrandbits(128):032x}", user_id(user), time.time_ns() // 1_000_000)

    async def reset(self) -> Sums:
        """Empty the tables that grow, fill up the stock, vacuum the hot row; the sums to start from."""
        await self.control.execute(_EMPTY)
        await self.control.execute("UPDATE skus SET on_hand = $1", STOCK)
        await self.control.execute("VACUUM skus")
        await self.control.execute("VACUUM point_accounts")
        return await self.sums()

    async def sums(self) -> Sums:
        """Stock and points that are left."""
        return Sums(
            await self.control.fetchval("SELECT sum(on_hand)::bigint FROM skus"),
            await self.control.fetchval("SELECT sum(balance)::bigint FROM point_accounts"),
        )

    async def audit(self, before: Sums, accepted: int) -> None:
        """Compare the tables with what the callers were told.

        Args:
            before: what `reset` returned.
            accepted: how many callers were told that their order is placed.

        Raises:
            AssertionError: an order was lost, invented, sold twice, or paid wrongly.
        """
        after = await self.sums()
        found = dict(await self.control.fetchrow(_COUNTS))
        expected = {
            "orders": accepted,
            "requests": accepted,
            "units": accepted,
            "lines": accepted,
            "totals": accepted * PRICE,
            "payments": accepted,
            "amounts": accepted * PRICE,
            "entries": 2 * accepted,
            "events": accepted,
        }
        if found != expected:
            raise AssertionError(f"the tables hold {found}, the callers were told {expected}")
        sold, paid = before.on_hand - after.on_hand, before.balance - after.balance
        if (sold, paid) != (accepted, accepted * PRICE):
            raise AssertionError(f"{sold} units left the stock and {paid} points the accounts, for {accepted} orders")


_COUNTS = """
SELECT (SELECT count(*) FROM orders) AS orders,
       (SELECT count(*) FROM requests) AS requests,
       (SELECT coalesce(sum(quantity), 0)::bigint FROM order_lines) AS units,
       (SELECT count(*) FROM order_lines) AS lines,
       (SELECT coalesce(sum(total), 0)::bigint FROM orders) AS totals,
       (SELECT count(*) FROM payments) AS payments,
       (SELECT coalesce(sum(amount), 0)::bigint FROM payments) AS amounts,
       (SELECT count(*) FROM ledger) AS entries,
       (SELECT count(*) FROM outbox) AS events
"""


def user_id(number: int) -> str:
    """The id of the buyer of this number."""
    return f"user-{number:06d}"


async def seed(control: Any, users: int) -> None:
    """One product with one SKU, and `users` accounts full of points, in bulk."""
    await control.execute(
        "INSERT INTO products (id, name, category, status, created_ms) VALUES ($1, 'Hot', 'bench', 'ACTIVE', 0)",
        PRODUCT,
    )
    await control.execute(
        "INSERT INTO skus (id, product_id, price, on_hand, reserved, version, stamp) VALUES ($1, $2, $3, $4, 0, 1, 0)",
        HOT,
        PRODUCT,
        PRICE,
        STOCK,
    )
    await control.execute(
        "INSERT INTO point_accounts (id, balance, held, version, stamp) "
        "SELECT 'user-' || lpad(n::text, 6, '0'), $1, 0, 1, 0 FROM generate_series(0, $2 - 1) AS n",
        BALANCE,
        users,
    )
    await control.execute("VACUUM ANALYZE")


@asynccontextmanager
async def open_ground(users: int, max_connections: int = 300) -> AsyncIterator[Ground]:
    """Start a private PostgreSQL with fsync on, bring it to our schema, fill it.

    Args:
        users: points accounts to make.
        max_connections: of the server.
    """
    with Servers() as servers:
        server = servers.postgres(durable=True, max_connections=max_connections, **SERVER_SETTINGS)
        database = await Database.open(server.url)
        await migrate(database)
        await database.close()
        control = await asyncpg.connect(server.url)
        try:
            await seed(control, users)
            yield Ground(server.url, server, users, control, itertools.count())
        finally:
            await control.close()
