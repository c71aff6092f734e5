"""The catalogue, points, carts, orders and payments."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from stockade.store.schema.types import text_id

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    _catalogue()
    _leave_room()
    _orders()


def _guarded() -> list[sa.Column[Any]]:
    return [
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("stamp", sa.BigInteger, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("fence_owner", text_id(), nullable=False, server_default=""),
    ]


def _catalogue() -> None:
    op.create_table(
        "products",
        sa.Column("id", text_id(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("category", sa.String(100), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_products"),
    )
    op.create_table(
        "skus",
        sa.Column("id", text_id(), nullable=False),
        sa.Column("product_id", text_id(), nullable=False),
        sa.Column("price", sa.BigInteger, nullable=False),
        sa.Column("on_hand", sa.BigInteger, nullable=False),
        sa.Column("reserved", sa.BigInteger, nullable=False),
        *_guarded(),
        sa.CheckConstraint("price >= 0", name=op.f("ck_skus_price")),
        sa.CheckConstraint("on_hand >= 0", name=op.f("ck_skus_on_hand")),
        sa.CheckConstraint("reserved >= 0 AND reserved <= on_hand", name=op.f("ck_skus_reserved")),
        sa.ForeignKeyConstraint(["product_id"], ["products.id"], name="fk_skus_products"),
        sa.PrimaryKeyConstraint("id", name="pk_skus"),
    )
    op.create_index("ix_skus_product_id", "skus", ["product_id"])
    op.create_index("ix_skus_price_product_id", "skus", ["price", "product_id"])
    op.create_table(
        "point_accounts",
        sa.Column("id", text_id(), nullable=False),
        sa.Column("balance", sa.BigInteger, nullable=False),
        sa.Column("held", sa.BigInteger, nullable=False),
        *_guarded(),
        sa.CheckConstraint("balance >= 0", name=op.f("ck_point_accounts_balance")),
        sa.CheckConstraint("held >= 0 AND held <= balance", name=op.f("ck_point_accounts_held")),
        sa.PrimaryKeyConstraint("id", name="pk_point_accounts"),
    )
    op.create_table(
        "cart_items",
        sa.Column("user_id", text_id(), nullable=False),
        sa.Column("sku_id", text_id(), nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_cart_items_quantity")),
        sa.PrimaryKeyConstraint("user_id", "sku_id", name="pk_cart_items"),
    )


def _leave_room() -> None:
    """Room for hot updates on the same page."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE skus SET (fillfactor = 50)")
        op.execute("ALTER TABLE point_accounts SET (fillfactor = 80)")


def _orders() -> None:
    orders = op.create_table(
        "orders",
        sa.Column("id", text_id(32), nullable=False),
        sa.Column("user_id", text_id(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("pay", sa.String(16), nullable=False),
        sa.Column("reserved_until_ms", sa.BigInteger, nullable=False),
        sa.Column("payment_id", text_id(32), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        *_guarded(),
        sa.CheckConstraint("total >= 0", name=op.f("ck_orders_total")),
        sa.PrimaryKeyConstraint("id", name="pk_orders"),
    )
    op.create_index("ix_orders_user_id_created_ms", "orders", ["user_id", "created_ms"])
    op.create_index("ix_orders_created_ms", "orders", ["created_ms"])
    reserved = orders.c.status == "RESERVED"
    op.create_index(
        "ix_orders_reserved_until_ms",
        "orders",
        ["reserved_until_ms"],
        postgresql_where=reserved,
        sqlite_where=reserved,
    )
    _children_of_orders()


def _children_of_orders() -> None:
    op.create_table(
        "order_lines",
        sa.Column("order_id", text_id(32), nullable=False),
        sa.Column("line", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("sku_id", text_id(), nullable=False),
        sa.Column("product_id", text_id(), nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("price", sa.BigInteger, nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_order_lines_quantity")),
        sa.CheckConstraint("price >= 0", name=op.f("ck_order_lines_price")),
        sa.PrimaryKeyConstraint("order_id", "line", name="pk_order_lines"),
    )
    op.create_table(
        "payments",
        sa.Column("id", text_id(32), nullable=False),
        sa.Column("order_id", text_id(32), nullable=False),
        sa.Column("user_id", text_id(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        *_guarded(),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_payments_amount")),
        sa.PrimaryKeyConstraint("id", name="pk_payments"),
        sa.UniqueConstraint("order_id", name="uq_payments_order_id"),
    )
