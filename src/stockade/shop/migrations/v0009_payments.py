"""Payments through a gateway: charges that it approves, the attempts to have something approved, refunds, its events.

Processes of the version before go on beside it: the new column of `orders` has a default, and they leave an order that
is PAYING alone. But they cancel a PAID order by adding points, whatever it was paid with: no process may have a gateway
before they have ended.
"""

from functools import partial
from typing import Any

import sqlalchemy as sa
from alembic import op

from stockade.store.schema import steps
from stockade.store.schema.types import text, text_id

revision = "0009"
down_revision = "0008"
in_steps = True


def upgrade() -> None:
    """Add a column and four tables. It may run again after an interruption."""
    bind = op.get_bind()
    # not by reflection, which needs a JSON type that connections through a pooler do not have
    there = bind.execute(sa.text("SELECT * FROM orders WHERE 1 = 0")).keys()
    if "attempts" not in there:
        attempts = sa.Column("attempts", sa.BigInteger(), nullable=False, server_default="0")
        steps.alter(bind, partial(op.add_column, "orders", attempts))
    _charges()
    _attempts()
    _refunds()
    _events()
    _indexes()


def _charges() -> None:
    _table(
        "point_charges",
        _column("user_id", text_id()),
        _column("amount", sa.BigInteger()),
        _column("currency", text_id(3)),
        _column("status", text(16)),
        _column("attempts", sa.BigInteger()),
        _column("payment_id", text_id(32)),
        _column("created_ms", sa.BigInteger()),
        *_guarded(),
        sa.CheckConstraint("amount > 0", name=op.f("ck_point_charges_amount")),
    )


def _attempts() -> None:
    _table(
        "payment_attempts",
        _column("subject", text_id(16)),
        _column("subject_id", text_id(32)),
        _column("reference", text_id()),
        _column("user_id", text_id()),
        _column("gateway", text_id(16)),
        _column("payment_key", text(200)),
        _column("amount", sa.BigInteger()),
        _column("currency", text_id(3)),
        _column("fingerprint", text_id(32)),
        _column("created_ms", sa.BigInteger()),
        _column("status", text(16)),
        _column("gateway_id", text(200)),
        _column("charged", sa.BigInteger()),
        _column("refunds", sa.BigInteger()),
        _column("code", text(100)),
        _column("resolve_at_ms", sa.BigInteger()),
        _column("tries", sa.BigInteger()),
        *_guarded(),
        sa.UniqueConstraint("reference", name=op.f("uq_payment_attempts_reference")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_payment_attempts_amount")),
        sa.CheckConstraint("refunds >= 0 AND refunds <= charged", name=op.f("ck_payment_attempts_refunds")),
    )


def _refunds() -> None:
    _table(
        "refunds",
        _column("payment_id", text_id(32)),
        _column("user_id", text_id()),
        _column("amount", sa.BigInteger()),
        _column("currency", text_id(3)),
        _column("reason", text(200)),
        _column("created_ms", sa.BigInteger()),
        _column("status", text(16)),
        _column("gateway_id", text(200)),
        _column("code", text(100)),
        _column("resolve_at_ms", sa.BigInteger()),
        _column("tries", sa.BigInteger()),
        *_guarded(),
        sa.CheckConstraint("amount > 0", name=op.f("ck_refunds_amount")),
    )


def _events() -> None:
    op.create_table(
        "gateway_events",
        _column("gateway", text_id(16)),
        _column("event_id", text_id(200)),
        _column("reference", text_id()),
        _column("received_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("gateway", "event_id", name=op.f("pk_gateway_events")),
        if_not_exists=True,
    )


def _indexes() -> None:
    for table, columns in (
        ("point_charges", ["user_id", "created_ms"]),
        ("payment_attempts", ["subject_id"]),
        ("payment_attempts", ["status", "created_ms"]),
        ("refunds", ["payment_id"]),
        ("refunds", ["status", "created_ms"]),
        ("gateway_events", ["received_ms"]),
    ):
        _index(table, columns)
    open_rows = sa.text("resolve_at_ms > 0")
    for table in ("payment_attempts", "refunds"):
        _index(table, ["resolve_at_ms"], postgresql_where=open_rows, sqlite_where=open_rows)


def _index(table: str, columns: list[str], **options: Any) -> None:
    """An index on a table that is new: nothing is in it, and nobody waits."""
    name = f"ix_{table}_{'_'.join(columns)}"
    if not steps.has_index(op.get_bind(), name, table):
        op.create_index(op.f(name), table, columns, **options)


def _table(name: str, *parts: Any) -> None:
    key = sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}"))
    op.create_table(name, _column("id", text_id(32)), *parts, key, if_not_exists=True)


def _column(name: str, type_: Any) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=False)


def _guarded() -> tuple[sa.Column[Any], ...]:
    """What the store keeps of each protected row, see `stockade.store.schema.tables.guarded`."""
    return (
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("fence_owner", text_id(), nullable=False, server_default=""),
    )
