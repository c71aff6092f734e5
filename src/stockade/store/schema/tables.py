"""The schema: the store's own eight tables, and the shop's, in one history of migrations.

Every constraint is named, so that a migration can be compared with this page on each database. Stock and points
carry CHECK constraints as the last line of defence. No foreign key points at a hot row: each order would lock it
once more, and on PostgreSQL that collapses (MultiXacts). None points at `orders` either: an order, its lines and its
payment are written by one statement, and the audit counts orphans (docs/adr/0006).
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    UniqueConstraint,
)

from stockade.core.case_folding import MAX_GROWTH
from stockade.store.schema.types import serial, text, text_id

WRITTEN_BY = "written_by"  # `info` of a table: the column by whose values a batch is written, a group at a time

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
    }
)


def guarded() -> list[Column[Any]]:
    """The columns that a protected row has for its guards.

    `version` and `stamp` (the time of the last change) are compared at the write, `fence` and `fence_owner` name the
    last lock holder whose fencing token was installed.
    """
    return [
        Column("version", BigInteger, nullable=False),
        Column("stamp", BigInteger, nullable=False),
        Column("fence", BigInteger, nullable=False, server_default="0"),
        Column("fence_owner", text_id(), nullable=False, server_default=""),
    ]


# -- the store's own -------------------------------------------------------------------------------------------

requests = Table(
    "requests",
    metadata,
    Column("id", text_id(32), primary_key=True),
    Column("fingerprint", text(32), nullable=False),
    Column("outcome", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Index(None, "created_ms"),
)

# One entry of one request for one row, for ever: also after its request row was purged. (kind, row_id, version) is
# deliberately not unique: else even `unprotected` could not lose an update.
ledger = Table(
    "ledger",
    metadata,
    Column("kind", text_id(16), primary_key=True),
    Column("row_id", text_id(), primary_key=True),
    Column("request_id", text_id(32), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("delta", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("amount_after", BigInteger, nullable=False),
    Column("held_after", BigInteger, nullable=False),
    Column("note", text(32), nullable=False),
    Column("ref", text_id(), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    info={WRITTEN_BY: "kind"},  # entries of one kind share most of their values
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", serial(), primary_key=True, autoincrement=True),
    Column("request_id", text_id(32), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("kind", text(64), nullable=False),
    Column("key", text_id(81), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("part", Integer, nullable=False, server_default="0"),  # events of one key are in one part
    Column("state", text(16), nullable=False, server_default="NEW"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_ms", BigInteger, nullable=False, server_default="0"),
    Column("error", text(200), nullable=False, server_default=""),
)
# What is to be sent, and dead letters. An event that is confirmed leaves it where partial indexes exist.
Index(
    "ix_outbox_state_part_id",
    outbox.c.state,
    outbox.c.part,
    outbox.c.id,
    postgresql_where=outbox.c.state != "CONFIRMED",
    sqlite_where=outbox.c.state != "CONFIRMED",
)

# Which relay works on which part of the outbox; `beat` counts how often it changed hands.
relay_parts = Table(
    "relay_parts",
    metadata,
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("owner", text_id(), nullable=False),
    Column("beat", BigInteger, nullable=False),
)

# Events that a consumer has dealt with, kept by the consumer's own transactions.
inbox = Table(
    "inbox",
    metadata,
    Column("consumer", text_id(), primary_key=True),
    Column("event_id", text_id(48), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Index(None, "at_ms"),
)

# How far a log was read: the truth about what was consumed.
positions = Table(
    "positions",
    metadata,
    Column("topic", text_id(200), primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
)

# Times up to which something was removed on purpose, so that the audit does not miss it.
marks = Table(
    "marks",
    metadata,
    Column("name", text_id(), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
)

# Which processes write here, under which guards: each keeps its row alive (see `guards_in_use`).
guards_in_use = Table(
    "guards_in_use",
    metadata,
    Column("id", text_id(32), primary_key=True),
    Column("process", text_id(255), nullable=False),  # host:pid
    Column("strategy", text_id(255), nullable=False),
    Column("guard", text_id(64), nullable=False),
    Column("compatibility", text_id(255), nullable=False),  # equal ones may stand together
    Column("overselling", Integer, nullable=False),  # 1: started with `allow_overselling`
    Column("started_ms", BigInteger, nullable=False),  # all times by the database's clock
    Column("renewed_ms", BigInteger, nullable=False),
    Column("lease_ms", BigInteger, nullable=False),
)

# -- the shop's ------------------------------------------------------------------------------------------------

products = Table(
    "products",
    metadata,
    Column("id", text_id(), primary_key=True),
    Column("name", text(200), nullable=False),
    Column("category", text(100), nullable=False),
    Column("status", text(16), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("folded_name", text(200 * MAX_GROWTH), nullable=False, server_default=""),  # what a search compares
)

skus = Table(
    "skus",
    metadata,
    Column("id", text_id(), primary_key=True),
    Column("product_id", text_id(), ForeignKey("products.id"), nullable=False, index=True),
    Column("price", BigInteger, nullable=False),
    Column("on_hand", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    *guarded(),
    Index(None, "price", "product_id"),
    CheckConstraint("price >= 0", name="price"),
    CheckConstraint("on_hand >= 0", name="on_hand"),
    CheckConstraint("reserved >= 0 AND reserved <= on_hand", name="reserved"),
    postgresql_with={"fillfactor": 50},  # room for hot updates on the same page
)

point_accounts = Table(
    "point_accounts",
    metadata,
    Column("id", text_id(), primary_key=True),  # the user's id
    Column("balance", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    *guarded(),
    CheckConstraint("balance >= 0", name="balance"),
    CheckConstraint("held >= 0 AND held <= balance", name="held"),
    postgresql_with={"fillfactor": 80},
)

cart_items = Table(
    "cart_items",
    metadata,
    Column("user_id", text_id(), primary_key=True),
    Column("sku_id", text_id(), primary_key=True),
    Column("quantity", BigInteger, nullable=False),
    CheckConstraint("quantity > 0", name="quantity"),
)

# The id of an order, charge or payment is the id of the request that made it: a retry names the same one.
orders = Table(
    "orders",
    metadata,
    Column("id", text_id(32), primary_key=True),
    Column("user_id", text_id(), nullable=False),
    Column("status", text(16), nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("pay", text(16), nullable=False),
    Column("reserved_until_ms", BigInteger, nullable=False),  # 0: no reservation
    Column("payment_id", text_id(32), nullable=False),  # '': not paid
    Column("reason", text(200), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    *guarded(),
    CheckConstraint("total >= 0", name="total"),
    Index(None, "user_id", "created_ms"),
    Index(None, "created_ms"),
)
# The sweeper's index; an order paid at once never enters it where partial indexes exist.
Index(
    "ix_orders_reserved_until_ms",
    orders.c.reserved_until_ms,
    postgresql_where=orders.c.status == "RESERVED",
    sqlite_where=orders.c.status == "RESERVED",
)

order_lines = Table(
    "order_lines",
    metadata,
    Column("order_id", text_id(32), primary_key=True),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("sku_id", text_id(), nullable=False),
    Column("product_id", text_id(), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("price", BigInteger, nullable=False),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("price >= 0", name="price"),
)

payments = Table(
    "payments",
    metadata,
    Column("id", text_id(32), primary_key=True),
    Column("order_id", text_id(32), nullable=False),
    Column("user_id", text_id(), nullable=False),
    Column("status", text(16), nullable=False),
    Column("method", text(16), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    *guarded(),
    UniqueConstraint("order_id"),  # one payment per order, whatever the code above does
    CheckConstraint("amount >= 0", name="amount"),
)

__all__ = [
    "cart_items",
    "guards_in_use",
    "inbox",
    "ledger",
    "marks",
    "metadata",
    "order_lines",
    "orders",
    "outbox",
    "payments",
    "point_accounts",
    "positions",
    "products",
    "relay_parts",
    "requests",
    "skus",
]
