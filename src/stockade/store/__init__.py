"""The store: tables, their migrations, and the one transaction. Neighbours: `core` below, `strategies` above."""

from stockade.core.extras import require

require("sqlalchemy", "alembic", "msgspec")


from stockade.store.engine.database import Database
from stockade.store.schema.migrate import STORE, STORE_SCHEMA, History, Schema
from stockade.store.schema.resource import Resource
from stockade.store.schema.tables import StoreTables, guarded
from stockade.store.schema.types import text, text_id
from stockade.store.transaction.transact import SqlStore

__all__ = [
    "STORE",
    "STORE_SCHEMA",
    "Database",
    "History",
    "Resource",
    "Schema",
    "SqlStore",
    "StoreTables",
    "guarded",
    "text",
    "text_id",
]
