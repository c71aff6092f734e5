"""The store: tables and the one transaction. Neighbours: `core` below, `strategies` above."""

from stockade.store.database import Database
from stockade.store.resource import Resource
from stockade.store.transact import SqlStore

__all__ = ["Database", "Resource", "SqlStore"]
