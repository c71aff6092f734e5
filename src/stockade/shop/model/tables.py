"""The shop's tables, as they are after every migration of `shop/migrations`.

Every constraint has a name, so that a test can compare this page with the migrations on each database.
CHECK constraints keep stock and points at or above zero, whatever the code does.
No foreign key points at a row that many orders change: each order would lock that row once more, and PostgreSQL slows
down sharply (MultiXacts). None points at `orders`: one statement writes an order, its lines and its payment, and the
audit counts orphans (docs/adr/0006).
"""

from sqlalchemy import (
    DDL,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
    event,
)

from stockade.core.case_folding import MAX_GROWTH
from stockade.shop.model.name_parts import keep_name_parts
from stockade.store.schema.tables import NAMING_CONVENTION, guarded
from stockade.store.schema.types import text, text_id

metadata = MetaData(naming_convention=NAMING_CONVENTION)

products = Table(
    "products",
    metadata,
    Column("id", text_id(), primary_key=True),
    Column("name", text(200), nullable=False),
    Column("category", text(100), nullable=False),
    Column("status", text(16), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("folded_name", text(200 * MAX_GROWTH), nullable=False, server_default=""),  # what a search compares
    # `guarded()`, with defaults for the processes of a version before revision 0007
    Column("version", BigInteger, nullable=False, server_default="1"),
    Column("stamp", BigInteger, nullable=False, server_default="0"),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("fence_owner", text_id(), nullable=False, server_default=""),
    Index(None, "status", "id"),
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
    Column("hidden", BigInteger, nullable=False, server_default="0"),  # 1 while the product is hidden
    Index(None, "price", "product_id"),
    CheckConstraint("price >= 0", name="price"),
    CheckConstraint("on_hand >= 0", name="on_hand"),
    CheckConstraint("reserved >= 0 AND reserved <= on_hand", name="reserved"),
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
    Column("attempts", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("total >= 0", name="total"),
    Index(None, "user_id", "created_ms"),
    Index(None, "created_ms"),
    Index(None, "status", "created_ms"),
)
# Room for hot updates on the same page. A table's option of PostgreSQL would say it too, but only since SQLAlchemy 2.1.
for _table, _percent in ((skus, 50), (point_accounts, 80)):
    _fill = DDL(f"ALTER TABLE {_table.name} SET (fillfactor = {_percent})").execute_if(dialect="postgresql")  # type: ignore[no-untyped-call]
    event.listen(_table, "after_create", _fill)

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
    Column("created_ms", BigInteger, nullable=False, server_default="0"),  # of the order; 0: written before 0007
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("price >= 0", name="price"),
    Index(None, "product_id", "created_ms"),
)

# Units of lines that were cancelled while the rest of their order went on. The line itself and `orders.total` stay what
# was ordered. Rows are only inserted, each with a change of its order, which guards them all.
cancelled_lines = Table(
    "cancelled_lines",
    metadata,
    Column("order_id", text_id(32), primary_key=True),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("request_id", text_id(32), primary_key=True),
    Column("sku_id", text_id(), nullable=False),
    Column("product_id", text_id(), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),  # price x quantity
    Column("payment_id", text_id(32), nullable=False),  # that was refunded; '': the order was not paid
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("amount >= 0", name="amount"),
)

# Orders that were refused because of stock, points or prices, for the lists. What else there is to know stands in the
# row of the request, and the purge deletes both.
refused_orders = Table(
    "refused_orders",
    metadata,
    Column("id", text_id(32), primary_key=True),
    Column("user_id", text_id(), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Index(None, "user_id", "created_ms"),
    Index(None, "created_ms"),
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

# Charges of points that a payment gateway approves. A charge without a gateway is its ledger entry alone.
point_charges = Table(
    "point_charges",
    metadata,
    Column("id", text_id(32), primary_key=True),
    Column("user_id", text_id(), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", text_id(3), nullable=False),
    Column("status", text(16), nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("payment_id", text_id(32), nullable=False),  # of the last attempt; '': none was made
    Column("created_ms", BigInteger, nullable=False),
    *guarded(),
    CheckConstraint("amount > 0", name="amount"),
    Index(None, "user_id", "created_ms"),
)

# What a gateway was asked to approve (docs/adr/0022). The row is committed before the gateway is asked.
payment_attempts = Table(
    "payment_attempts",
    metadata,
    Column("id", text_id(32), primary_key=True),  # of the payment, and of the request that asked for it
    Column("subject", text_id(16), nullable=False),
    Column("subject_id", text_id(32), nullable=False),
    Column("reference", text_id(), nullable=False),
    Column("user_id", text_id(), nullable=False),
    Column("gateway", text_id(16), nullable=False),
    Column("payment_key", text(200), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", text_id(3), nullable=False),
    Column("fingerprint", text_id(32), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("status", text(16), nullable=False),
    Column("gateway_id", text(200), nullable=False),
    Column("charged", BigInteger, nullable=False),
    Column("refunds", BigInteger, nullable=False),
    Column("code", text(100), nullable=False),
    Column("resolve_at_ms", BigInteger, nullable=False),  # 0: nothing is to be done
    Column("tries", BigInteger, nullable=False),
    *guarded(),
    UniqueConstraint("reference"),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("refunds >= 0 AND refunds <= charged", name="refunds"),
    Index(None, "subject_id"),
    Index(None, "status", "created_ms"),
)

refunds = Table(
    "refunds",
    metadata,
    Column("id", text_id(32), primary_key=True),
    Column("payment_id", text_id(32), nullable=False),
    Column("user_id", text_id(), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", text_id(3), nullable=False),
    Column("reason", text(200), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("status", text(16), nullable=False),
    Column("gateway_id", text(200), nullable=False),
    Column("code", text(100), nullable=False),
    Column("resolve_at_ms", BigInteger, nullable=False),  # 0: nothing is to be done
    Column("tries", BigInteger, nullable=False),
    *guarded(),
    CheckConstraint("amount > 0", name="amount"),
    Index(None, "payment_id"),
    Index(None, "status", "created_ms"),
)
# The reconciler's indexes: what is settled never stays in them where partial indexes exist.
for _table in (payment_attempts, refunds):
    Index(
        f"ix_{_table.name}_resolve_at_ms",
        _table.c.resolve_at_ms,
        postgresql_where=_table.c.resolve_at_ms > 0,
        sqlite_where=_table.c.resolve_at_ms > 0,
    )

# What gateways reported by themselves, once each.
gateway_events = Table(
    "gateway_events",
    metadata,
    Column("gateway", text_id(16), primary_key=True),
    Column("event_id", text_id(200), primary_key=True),
    Column("reference", text_id(), nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Index(None, "received_ms"),
)

# Sales of products in whole hours, by the time of the order: what PAID orders hold. The job in `shop.sales` advances
# these four tables from the outbox, never an order (docs/adr/0021).
product_sales = Table(
    "product_sales",
    metadata,
    Column("hour_ms", BigInteger, primary_key=True, autoincrement=False),  # when the hour began
    Column("product_id", text_id(), primary_key=True),
    Column("quantity", BigInteger, nullable=False),
    Column("revenue", BigInteger, nullable=False),
)

# The windows whose sums are kept in `window_sales`, and the hours that those sums hold: from `from_ms`, before `to_ms`.
sales_windows = Table(
    "sales_windows",
    metadata,
    Column("days", Integer, primary_key=True, autoincrement=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("to_ms", BigInteger, nullable=False),
)

window_sales = Table(
    "window_sales",
    metadata,
    Column("days", Integer, primary_key=True, autoincrement=False),
    Column("product_id", text_id(), primary_key=True),
    Column("quantity", BigInteger, nullable=False),
    Column("revenue", BigInteger, nullable=False),
)
# The best products of a window stand first in its index; equal ones in the order of their ids.
Index("ix_window_sales_quantity", window_sales.c.days, window_sales.c.quantity.desc(), window_sales.c.product_id)
Index("ix_window_sales_revenue", window_sales.c.days, window_sales.c.revenue.desc(), window_sales.c.product_id)

sales_progress = Table(
    "sales_progress",
    metadata,
    Column("name", text_id(), primary_key=True),
    Column("position", BigInteger, nullable=False),  # the last event of the outbox that the sums hold
    Column("counted_from_ms", BigInteger, nullable=False),  # orders before that time are not in the sums
    Column("as_of_ms", BigInteger, nullable=False),  # what was committed before that time is in the sums
)

# The index of names for the search: every three letters that follow each other in the folded name of a product.
# Triggers keep it (`shop.model.name_parts`), so a process of any version may write products.
product_name_parts = Table(
    "product_name_parts",
    metadata,
    Column("part", text_id(3), primary_key=True),
    Column("product_id", text_id(), primary_key=True),
)
event.listen(metadata, "after_create", keep_name_parts)
