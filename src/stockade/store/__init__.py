"""The store: tables and the one transaction. Neighbours: `core` below, `strategies` above."""

from stockade.store.engine.database import Database
from stockade.store.schema.resource import Resource
from stockade.store.transaction.transact import SqlStore

__all__ = ["Database", "Resource", "SqlStore"]
