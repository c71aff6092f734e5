"""The history of the shop's tables, and the whole schema of a shop's database: the store's tables and its own.

`shop/model/tables.py` is the present; a test holds both equal on every database.
"""

from pathlib import Path

from stockade.shop.model.tables import metadata
from stockade.store.schema.migrate import STORE, History, Schema

SHOP = History("shop", metadata, Path(__file__).parent, "stockade_schema")
SCHEMA = Schema(STORE, SHOP)
