"""Orders with an object-relational mapper: a session for each order, `get(…, with_for_update)`, the unit of work.

Writes the same rows as `baselines` and as our store. Declarative classes over our own tables, with relationships.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, foreign, relationship

from benchmarks.baselines import PART, Seen, told
from benchmarks.harness import Loop
from benchmarks.ours import WAIT_S
from benchmarks.target import FINGERPRINT, HOT, PLANS, BenchmarkDatabase, Buy
from stockade.shop.model import constants, tables
from stockade.store.schema import tables as store_tables


class Base(DeclarativeBase):
    """Classes over the tables that the migrations made."""

    metadata = tables.metadata


class Request(Base):
    """An executed request."""

    __table__ = store_tables.requests


class Sku(Base):
    """The hot row."""

    __table__ = tables.skus


class Account(Base):
    """A buyer's points."""

    __table__ = tables.point_accounts


class CartItem(Base):
    """A line of a cart."""

    __table__ = tables.cart_items


class Line(Base):
    """A line of an order."""

    __table__ = tables.order_lines


class Payment(Base):
    """The payment of an order."""

    __table__ = tables.payments


class Order(Base):
    """An order with its lines and its payment."""

    __table__ = tables.orders
    lines = relationship(Line, primaryjoin=tables.orders.c.id == foreign(tables.order_lines.c.order_id))
    payment = relationship(
        Payment, primaryjoin=tables.orders.c.id == foreign(tables.payments.c.order_id), uselist=False
    )


class Entry(Base):
    """A ledger entry."""

    __table__ = store_tables.ledger


class Event(Base):
    """An event to publish."""

    __table__ = store_tables.outbox


cart = tables.cart_items.c


async def place_order(session: AsyncSession, buy: Buy) -> bool:
    """One order inside the session's transaction."""
    if await session.get(Request, buy.request_id):
        return True
    sku: Any = await session.get(Sku, HOT, with_for_update={"key_share": True})
    account: Any = await session.get(Account, buy.user_id, with_for_update={"key_share": True})
    seen = Seen(
        *(sku.product_id, sku.price, sku.on_hand, sku.reserved, sku.version),
        *(account.balance, account.held, account.version),
    )
    if sku.on_hand - sku.reserved < 1 or account.balance - account.held < sku.price:
        return False
    sku.on_hand -= 1
    sku.version, sku.stamp = sku.version + 1, buy.now_ms
    account.balance -= sku.price
    account.version, account.stamp = account.version + 1, buy.now_ms
    await session.execute(delete(CartItem).where(cart.user_id == buy.user_id, cart.sku_id == HOT))
    session.add_all([_order(buy, sku), *_entries(buy, sku, account), *_records(buy, seen)])
    return True


def _order(buy: Buy, sku: Any) -> Order:
    request_id, user_id, now_ms = buy
    return Order(
        id=request_id,
        user_id=user_id,
        status=constants.PAID,
        total=sku.price,
        pay=constants.POINTS,
        reserved_until_ms=0,
        payment_id=request_id,
        reason="",
        created_ms=now_ms,
        version=1,
        stamp=now_ms,
        lines=[Line(line=1, sku_id=sku.id, product_id=sku.product_id, quantity=1, price=sku.price)],
        payment=Payment(
            id=request_id,
            user_id=user_id,
            status=constants.APPROVED,
            method=constants.POINTS,
            amount=sku.price,
            created_ms=now_ms,
            version=1,
            stamp=now_ms,
        ),
    )


def _entries(buy: Buy, sku: Any, account: Any) -> list[Entry]:
    common = {"request_id": buy.request_id, "ref": buy.request_id, "held": 0, "at_ms": buy.now_ms}
    return [
        Entry(
            kind="stock",
            row_id=sku.id,
            version=sku.version,
            delta=-1,
            amount_after=sku.on_hand,
            held_after=sku.reserved,
            note=constants.DEDUCT,
            **common,
        ),
        Entry(
            kind="points",
            row_id=account.id,
            version=account.version,
            delta=-sku.price,
            amount_after=account.balance,
            held_after=account.held,
            note=constants.USE,
            **common,
        ),
    ]


def _records(buy: Buy, seen: Seen) -> list[Base]:
    outcome, body = told(buy, seen)
    event = {"kind": constants.ORDER_PLACED, "key": f"stock:{HOT}", "body": body}
    return [
        Request(id=buy.request_id, fingerprint=FINGERPRINT, outcome=outcome, created_ms=buy.now_ms),
        Event(request_id=buy.request_id, seq=0, created_ms=buy.now_ms, part=PART, **event),
    ]


@dataclass(frozen=True, slots=True)
class Orm:
    """The unit of work on a pool.

    Attributes:
        name: of the arm.
        callers: at the same time.
        pool: connections.
    """

    name: str
    callers: int
    pool: int

    @asynccontextmanager
    async def open(self, target: BenchmarkDatabase) -> AsyncIterator[Loop]:
        """Create the engine; its pool opens connections in the first round, which is not counted."""
        engine = create_async_engine(
            make_url(target.url).set(drivername="postgresql+asyncpg"),
            pool_size=self.pool,
            max_overflow=0,
            pool_timeout=WAIT_S,
            connect_args={"server_settings": PLANS},
        )
        sessions = async_sessionmaker(engine, expire_on_commit=False)

        async def place(buy: Buy) -> bool:
            async with sessions.begin() as session:
                return await place_order(session, buy)

        try:
            yield Loop(self.name, self.callers, place)
        finally:
            await engine.dispose()
