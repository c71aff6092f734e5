"""The store's tables, as they are after every migration of `migrations/versions`.

Their names begin with a prefix and they may be in a schema of their own, so that they fit beside other tables
(docs/adr/0020). Every constraint has a name, so that a test can compare this page with the migrations on each database.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table

from stockade.store.schema.types import serial, text, text_id

WRITTEN_BY = "written_by"  # `info` of a table: the column by whose values a batch is written, a group at a time
ONLY_INSERTED = "only_inserted"  # `info` of a table: its rows are never changed, so nobody needs the right to
MAX_PREFIX = 32  # characters: with the longest name of an index it makes 55, of the 63 that PostgreSQL allows

NAMING_CONVENTION = {
    "pk": "pk_%(table_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
}

_PLAIN_VERSION_TABLE = "stockade_store_schema"
_VERSION_TABLE = "store_version"  # after a prefix
_PREFIX = re.compile(r"([a-z_][a-z0-9_]*)?")


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


@dataclass(frozen=True)
class StoreTables:
    """The names of the store's tables, and the tables by these names.

    Args:
        prefix: of the names of all tables, constraints and indexes, e.g. `stockade_`; empty: none.
        schema: that has the tables (a schema of PostgreSQL, a database of MariaDB and MySQL); None: the one that the
            connection uses. `Schema.migrate` does not create it.

    Attributes:
        metadata: all of these tables, e.g. for Alembic's `target_metadata`.
        requests: the request ids that were carried out, with their outcomes.
        ledger: one entry of one request for one row, for ever: also after its request row was purged.
        outbox: events to send, and dead letters.
        relay_partitions: which relay has leased which partition of the outbox.
        inbox: events that a consumer has processed.
        consumer_offsets: the next offset to read of each partition of a log.
        watermarks: up to which time rows were deleted on purpose.
        guards_in_use: which processes write to this database under which guards.

    Raises:
        ValueError: a prefix or a schema that cannot be part of a name.
    """

    prefix: str = ""
    schema: str | None = None
    metadata: MetaData = field(init=False, repr=False, compare=False)
    requests: Table = field(init=False, repr=False, compare=False)
    ledger: Table = field(init=False, repr=False, compare=False)
    outbox: Table = field(init=False, repr=False, compare=False)
    relay_partitions: Table = field(init=False, repr=False, compare=False)
    inbox: Table = field(init=False, repr=False, compare=False)
    consumer_offsets: Table = field(init=False, repr=False, compare=False)
    watermarks: Table = field(init=False, repr=False, compare=False)
    guards_in_use: Table = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for problem in (_prefix_problem(self.prefix), _schema_problem(self.schema)):
            if problem:
                raise ValueError(problem)
        metadata = MetaData(naming_convention=NAMING_CONVENTION, schema=self.schema)
        made = {name: make(self.prefix + name_, metadata) for name, name_, make in _TABLES}
        for name, value in {"metadata": metadata, **made}.items():
            object.__setattr__(self, name, value)

    @property
    def version_table(self) -> str:
        """The table in which `Schema.migrate` keeps the revision of these tables."""
        return f"{self.prefix}{_VERSION_TABLE}" if self.prefix else _PLAIN_VERSION_TABLE

    @property
    def names(self) -> frozenset[str]:
        """The names of all tables, and of the table with their revision; without the schema."""
        return frozenset(table.name for table in self.metadata.tables.values()) | {self.version_table}


def is_version_table(name: str) -> bool:
    """Whether a table is the `version_table` of a store, under any prefix."""
    return name == _PLAIN_VERSION_TABLE or name.endswith(_VERSION_TABLE)


def _prefix_problem(prefix: object) -> str:
    if isinstance(prefix, str) and len(prefix) <= MAX_PREFIX and _PREFIX.fullmatch(prefix):
        return ""
    # upper-case names differ between databases: some servers fold them, some file systems do
    return f"the prefix {prefix!r:.100} must have at most {MAX_PREFIX} small letters, digits and _, such as 'stockade_'"


def _schema_problem(schema: object) -> str:
    if schema is None or (isinstance(schema, str) and 0 < len(schema) <= 63 and not set(schema) & set("`\"'\0.")):
        return ""
    return f"the schema {schema!r:.100} must be the name of one, or None"


def _requests(name: str, metadata: MetaData) -> Table:
    return Table(
        name,
        metadata,
        Column("id", text_id(32), primary_key=True),
        Column("fingerprint", text(32), nullable=False),
        Column("outcome", LargeBinary, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
        Index(None, "created_ms"),
    )


def _ledger(name: str, metadata: MetaData) -> Table:
    # (kind, row_id, version) is deliberately not unique: else even `unprotected` could not lose an update
    return Table(
        name,
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
        info={WRITTEN_BY: "kind", ONLY_INSERTED: True},  # entries of one kind share most of their values
    )


def _outbox(name: str, metadata: MetaData) -> Table:
    table = Table(
        name,
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
    # Where partial indexes exist, a confirmed event leaves this index.
    Index(
        f"ix_{name}_state_part_id",
        table.c.state,
        table.c.part,
        table.c.id,
        postgresql_where=table.c.state != "CONFIRMED",
        sqlite_where=table.c.state != "CONFIRMED",
    )
    return table


def _relay_partitions(name: str, metadata: MetaData) -> Table:
    return Table(
        name,
        metadata,
        Column("part", Integer, primary_key=True, autoincrement=False),
        Column("owner", text_id(), nullable=False),
        Column("beat", BigInteger, nullable=False),  # counts how often the lease changed hands
    )


def _inbox(name: str, metadata: MetaData) -> Table:
    # the consumer inserts an event in the transaction of the effect
    return Table(
        name,
        metadata,
        Column("consumer", text_id(), primary_key=True),
        Column("event_id", text_id(48), primary_key=True),
        Column("at_ms", BigInteger, nullable=False),
        Index(None, "at_ms"),
    )


def _consumer_offsets(name: str, metadata: MetaData) -> Table:
    # a position moves in the transaction of the commands that were read
    return Table(
        name,
        metadata,
        Column("topic", text_id(200), primary_key=True),
        Column("part", Integer, primary_key=True, autoincrement=False),
        Column("position", BigInteger, nullable=False),
        Column("epoch", BigInteger, nullable=False),
    )


def _watermarks(name: str, metadata: MetaData) -> Table:
    # so that the audit does not report deleted rows as lost
    return Table(
        name,
        metadata,
        Column("name", text_id(), primary_key=True),
        Column("at_ms", BigInteger, nullable=False),
    )


def _guards_in_use(name: str, metadata: MetaData) -> Table:
    # each process renews its row, see `guards_in_use`
    return Table(
        name,
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


# attribute of StoreTables, name in the database without the prefix, what makes it
_TABLES = (
    ("requests", "requests", _requests),
    ("ledger", "ledger", _ledger),
    ("outbox", "outbox", _outbox),
    ("relay_partitions", "relay_parts", _relay_partitions),
    ("inbox", "inbox", _inbox),
    ("consumer_offsets", "positions", _consumer_offsets),
    ("watermarks", "marks", _watermarks),
    ("guards_in_use", "guards_in_use", _guards_in_use),
)

DEFAULT = StoreTables()
"""Without a prefix, where the connection is: the tables of a shop."""

metadata = DEFAULT.metadata
requests, ledger, outbox, inbox = DEFAULT.requests, DEFAULT.ledger, DEFAULT.outbox, DEFAULT.inbox
watermarks, guards_in_use = DEFAULT.watermarks, DEFAULT.guards_in_use
