"""The store's tables, as they are after every migration of `migrations/versions`.

Every constraint has a name, so that a test can compare this page with the migrations on each database.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table

from stockade.store.schema.types import serial, text, text_id

WRITTEN_BY = "written_by"  # `info` of a table: the column by whose values a batch is written, a group at a time

NAMING_CONVENTION = {
    "pk": "pk_%(table_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
}
metadata = MetaData(naming_convention=NAMING_CONVENTION)


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
    Column("part", Integer, nullable=False, server_default="0"),  # the partition; events of one key are in one
    Column("state", text(16), nullable=False, server_default="NEW"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_ms", BigInteger, nullable=False, server_default="0"),
    Column("error", text(200), nullable=False, server_default=""),
)
# Events to send, and dead letters. Where partial indexes exist, a confirmed event leaves this index.
Index(
    "ix_outbox_state_part_id",
    outbox.c.state,
    outbox.c.part,
    outbox.c.id,
    postgresql_where=outbox.c.state != "CONFIRMED",
    sqlite_where=outbox.c.state != "CONFIRMED",
)

# Which relay has leased which partition of the outbox; `beat` counts how often the lease changed hands.
relay_partitions = Table(
    "relay_parts",
    metadata,
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("owner", text_id(), nullable=False),
    Column("beat", BigInteger, nullable=False),
)

# Events that a consumer has processed; the consumer inserts them in the transaction of the effect.
inbox = Table(
    "inbox",
    metadata,
    Column("consumer", text_id(), primary_key=True),
    Column("event_id", text_id(48), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Index(None, "at_ms"),
)

# The next offset to read of each partition of a log: it moves in the transaction of the commands that were read.
consumer_offsets = Table(
    "positions",
    metadata,
    Column("topic", text_id(200), primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
)

# Up to which time rows were deleted on purpose, so that the audit does not report them as lost.
watermarks = Table(
    "marks",
    metadata,
    Column("name", text_id(), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
)

# Which processes write to this database under which guards; each renews its row (see `guards_in_use`).
guards_in_use = Table(
    "guards_in_use",
    metadata,
    Column("id", text_id(32), primary_key=True),
    Column("process", text_id(255), nullable=False),  # host:pid
    Column("strategy", text_id(255), nullable=False),
    Column("guard", text_id(64), nullable=False),
    Column("compatibility", text_id(255), nullable=False),  # processes with equal values may run at the same time
    Column("overselling", Integer, nullable=False),  # 1: started with `allow_overselling`
    Column("started_ms", BigInteger, nullable=False),  # all times by the database's clock
    Column("renewed_ms", BigInteger, nullable=False),
    Column("lease_ms", BigInteger, nullable=False),
)
