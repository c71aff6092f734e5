"""The same orders by hand on the raw driver: what a careful engineer writes without a store, statement by statement.

Each contender writes exactly the rows that our PlaceOrder writes, into the tables of our migrations, with the outcome
and the event encoded by the same functions. `target` compares the counts after each run. Neighbour: `orm` does the same
with an object-relational mapper.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import asyncpg

from benchmarks.harness import Loop
from benchmarks.ours import POOL, WAIT_S
from benchmarks.target import FINGERPRINT, HOT, PLANS, BenchmarkDatabase, Buy
from stockade.core import Accepted, Backoff, JsonValue
from stockade.shop.model import constants
from stockade.store.outcome_codec import encode_body, encode_outcome
from stockade.store.transaction.outbox_events import partition_of

KNOWN = "SELECT fingerprint, outcome FROM requests WHERE id = $1"
READ_SKU = "SELECT product_id, price, on_hand, reserved, version FROM skus WHERE id = $1"
READ_ACCOUNT = "SELECT balance, held, version FROM point_accounts WHERE id = $1"
LOCKED = " FOR NO KEY UPDATE"
ADD_REQUEST = "INSERT INTO requests (id, fingerprint, outcome, created_ms) VALUES ($1, $2, $3, $4)"
ADD_ORDER = (
    "INSERT INTO orders (id, user_id, status, total, pay, reserved_until_ms, payment_id, reason, created_ms, version, "
    "stamp) VALUES ($1, $2, 'PAID', $3, 'POINTS', 0, $1, '', $4, 1, $4)"
)
ADD_LINE = "INSERT INTO order_lines (order_id, line, sku_id, product_id, quantity, price) VALUES ($1, 1, $2, $3, 1, $4)"
ADD_PAYMENT = (
    "INSERT INTO payments (id, order_id, user_id, status, method, amount, created_ms, version, stamp) "
    "VALUES ($1, $1, $2, 'APPROVED', 'POINTS', $3, $4, 1, $4)"
)
ADD_ENTRY = (
    "INSERT INTO ledger (kind, row_id, request_id, version, delta, held, amount_after, held_after, note, ref, at_ms) "
    "VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8, $3, $9)"
)
ADD_EVENT = "INSERT INTO outbox (request_id, seq, kind, key, body, created_ms, part) VALUES ($1, 0, $2, $3, $4, $5, $6)"
PART = partition_of(f"stock:{HOT}")
EMPTY_CART = "DELETE FROM cart_items WHERE user_id = $1 AND sku_id = $2"
SET_ACCOUNT = "UPDATE point_accounts SET balance = $2, version = $3, stamp = $4 WHERE id = $1"
SET_SKU = "UPDATE skus SET on_hand = $2, version = $3, stamp = $4 WHERE id = $1"
UNCHANGED = " AND version = $5"
TAKE_POINTS = (
    "UPDATE point_accounts SET balance = balance - $2, version = version + 1, stamp = $3 "
    "WHERE id = $1 AND balance - held >= $2 RETURNING balance, held, version"
)
TAKE_STOCK = (
    "UPDATE skus SET on_hand = on_hand - 1, version = version + 1, stamp = $2 "
    "WHERE id = $1 AND on_hand - reserved >= 1 RETURNING on_hand, reserved, version"
)


class Changed(Exception):
    """Another transaction changed the row first: decide again."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The two rows that decide an order."""

    product_id: str
    price: int
    on_hand: int
    reserved: int
    sku_version: int
    balance: int
    held: int
    account_version: int


async def row_lock(connection: Any, buy: Buy) -> bool:
    """The usual way: look the request up, lock the product, lock the account, write the order."""
    if await connection.fetchrow(KNOWN, buy.request_id):
        return True
    sku = await connection.fetchrow(READ_SKU + LOCKED, HOT)
    account = await connection.fetchrow(READ_ACCOUNT + LOCKED, buy.user_id)
    seen = Seen(*sku, *account)
    if not affordable(seen):
        return False
    await connection.execute(SET_SKU, HOT, seen.on_hand - 1, seen.sku_version + 1, buy.now_ms)
    left = seen.balance - seen.price
    await connection.execute(SET_ACCOUNT, buy.user_id, left, seen.account_version + 1, buy.now_ms)
    await add_records(connection, buy, seen)
    await add_entries(connection, buy, seen)
    return True


async def pessimistic(connection: Any, buy: Buy) -> bool:
    """The same, improved: lock the account first and the hot row last; the INSERT claims the request."""
    account = await connection.fetchrow(READ_ACCOUNT + LOCKED, buy.user_id)
    sku = await connection.fetchrow(READ_SKU + LOCKED, HOT)
    seen = Seen(*sku, *account)
    if not affordable(seen):
        return False
    await add_records(connection, buy, seen)
    await add_entries(connection, buy, seen)
    left = seen.balance - seen.price
    await connection.execute(SET_ACCOUNT, buy.user_id, left, seen.account_version + 1, buy.now_ms)
    await connection.execute(SET_SKU, HOT, seen.on_hand - 1, seen.sku_version + 1, buy.now_ms)
    return True


async def optimistic(connection: Any, buy: Buy) -> bool:
    """Read, insert the records, then update both rows if their versions have not changed."""
    seen = await read(connection, buy)
    if not affordable(seen):
        return False
    await add_records(connection, buy, seen)
    await add_entries(connection, buy, seen)
    left = seen.balance - seen.price
    account = (buy.user_id, left, seen.account_version + 1, buy.now_ms, seen.account_version)
    if await connection.execute(SET_ACCOUNT + UNCHANGED, *account) != "UPDATE 1":
        raise Changed
    sku = (HOT, seen.on_hand - 1, seen.sku_version + 1, buy.now_ms, seen.sku_version)
    if await connection.execute(SET_SKU + UNCHANGED, *sku) != "UPDATE 1":
        raise Changed
    return True


async def conditional(connection: Any, buy: Buy) -> bool:
    """Read the price, insert the order, let both UPDATEs check; then insert what needs their balances and versions."""
    seen = await read(connection, buy)
    if not affordable(seen):
        return False
    await add_order(connection, buy, seen)
    account = await connection.fetchrow(TAKE_POINTS, buy.user_id, seen.price, buy.now_ms)
    sku = await connection.fetchrow(TAKE_STOCK, HOT, buy.now_ms)
    if account is None or sku is None:
        raise Changed
    (balance, held, account_version), (on_hand, reserved, sku_version) = account, sku
    before = (on_hand + 1, reserved, sku_version - 1, balance + seen.price, held, account_version - 1)
    seen = Seen(seen.product_id, seen.price, *before)
    await add_claim(connection, buy, seen)
    await add_entries(connection, buy, seen)
    return True


async def read(connection: Any, buy: Buy) -> Seen:
    """Both rows without a lock."""
    account = await connection.fetchrow(READ_ACCOUNT, buy.user_id)
    return Seen(*await connection.fetchrow(READ_SKU, HOT), *account)


def affordable(seen: Seen) -> bool:
    """Decide the order."""
    return seen.on_hand - seen.reserved >= 1 and seen.balance - seen.held >= seen.price


async def add_records(connection: Any, buy: Buy, seen: Seen) -> None:
    """Insert everything but the ledger."""
    await add_claim(connection, buy, seen)
    await add_order(connection, buy, seen)


async def add_claim(connection: Any, buy: Buy, seen: Seen) -> None:
    """The request with its outcome, which a duplicate finds, and the event."""
    outcome, body = told(buy, seen)
    request_id, _, now_ms = buy
    await connection.execute(ADD_REQUEST, request_id, FINGERPRINT, outcome, now_ms)
    await connection.execute(ADD_EVENT, request_id, constants.ORDER_PLACED, f"stock:{HOT}", body, now_ms, PART)


async def add_order(connection: Any, buy: Buy, seen: Seen) -> None:
    """Order, line, payment; and delete the SKU from the cart."""
    request_id, user_id, now_ms = buy
    await connection.execute(ADD_ORDER, request_id, user_id, seen.price, now_ms)
    await connection.execute(ADD_LINE, request_id, HOT, seen.product_id, seen.price)
    await connection.execute(ADD_PAYMENT, request_id, user_id, seen.price, now_ms)
    await connection.execute(EMPTY_CART, user_id, HOT)


async def add_entries(connection: Any, buy: Buy, seen: Seen) -> None:
    """One ledger entry for the stock, one for the points, in one statement sent twice."""
    stock = (seen.sku_version + 1, -1, seen.on_hand - 1, seen.reserved, constants.DEDUCT)
    points = (seen.account_version + 1, -seen.price, seen.balance - seen.price, seen.held, constants.USE)
    await connection.executemany(
        ADD_ENTRY,
        [
            ("stock", HOT, buy.request_id, *stock, buy.now_ms),
            ("points", buy.user_id, buy.request_id, *points, buy.now_ms),
        ],
    )


def told(buy: Buy, seen: Seen) -> tuple[bytes, bytes]:
    """The recorded outcome and the event's body, as our command makes them."""
    line: dict[str, JsonValue] = {"sku_id": HOT, "product_id": seen.product_id, "quantity": 1, "price": seen.price}
    data: dict[str, JsonValue] = {
        "order_id": buy.request_id,
        "status": constants.PAID,
        "total": seen.price,
        "lines": [line],
    }
    versions = {f"stock:{HOT}": seen.sku_version + 1, f"points:{buy.user_id}": seen.account_version + 1}
    return encode_outcome(Accepted(data, versions)), encode_body({"user_id": buy.user_id, "pay": "POINTS", **data})


Transaction = Callable[[Any, Buy], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Raw:
    """A handwritten contender on a pool of asyncpg connections.

    Attributes:
        name: of the arm.
        transaction: what one transaction does.
        callers: at the same time.
        pool: connections.
    """

    name: str
    transaction: Transaction
    callers: int
    pool: int = POOL

    _backoff: ClassVar[Backoff] = Backoff()  # as our strategies use it
    _random: ClassVar[random.Random] = random.Random()

    @asynccontextmanager
    async def open(self, target: BenchmarkDatabase) -> AsyncIterator[Loop]:
        """Open all connections of the pool."""
        size, attempts = self.pool, 0

        async def place(buy: Buy) -> bool:
            nonlocal attempts
            for attempt in range(self._backoff.retries + 1):
                attempts += 1
                try:
                    async with pool.acquire(timeout=WAIT_S) as connection, connection.transaction():
                        return await self.transaction(connection, buy)
                except Changed:
                    await asyncio.sleep(self._backoff.pause_s(attempt, self._random))
            raise AssertionError(f"{self.name}: {self._backoff.retries} retries were not enough")

        def notes(answered: int) -> dict[str, float]:
            nonlocal attempts
            found, attempts = attempts, 0
            return {"orders_per_transaction": answered / max(1, found)}

        async with asyncpg.create_pool(target.url, min_size=size, max_size=size, server_settings=PLANS) as pool:
            yield Loop(self.name, self.callers, place, notes)


BY_HAND: dict[str, Transaction] = {
    "pessimistic": pessimistic,
    "optimistic": optimistic,
    "conditional": conditional,
}
