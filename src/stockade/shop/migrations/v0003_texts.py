"""Texts hold every letter on MariaDB and MySQL, and each product has its name without upper case for the search.

Neighbour: the store's revision 0003 converts the texts of the store.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from stockade.core.case_folding import folded
from stockade.store.schema.convert_texts import TextColumn, convert_texts
from stockade.store.schema.types import text

revision = "0003"
down_revision = "0002"

FILLED_AT_ONCE = 500  # products

_TEXTS: dict[str, tuple[TextColumn, ...]] = {
    "products": (("name", 200, None), ("category", 100, None), ("status", 16, None)),
    "orders": (("status", 16, None), ("pay", 16, None), ("reason", 200, None)),
    "payments": (("status", 16, None), ("method", 16, None)),
    "stockade_schema": (("version_num", 32, None),),  # Alembic's own
}


def upgrade() -> None:
    """Convert what is there, then add and fill the folded names.

    It may run again after an interruption: MariaDB and MySQL keep each statement that ended, the others keep none.
    """
    convert_texts(_TEXTS)
    # not by reflection, which needs a JSON type that connections through a pooler do not have
    columns = op.get_bind().execute(sa.text("SELECT * FROM products WHERE 1 = 0")).keys()
    if "folded_name" not in columns:
        op.add_column("products", sa.Column("folded_name", text(600), nullable=False, server_default=""))
    _fill()


def _fill() -> None:
    """Fold the names that are there, some at a time in the order of their ids."""
    bind = op.get_bind()
    products = sa.table("products", *(sa.column(name, sa.String) for name in ("id", "name", "folded_name")))
    fill = sa.update(products).where(products.c.id == sa.bindparam("id_"))
    fill = fill.values(folded_name=sa.bindparam("folded_"))
    some = sa.select(products.c.id, products.c.name).order_by(products.c.id).limit(FILLED_AT_ONCE)
    last = ""
    while found := bind.execute(some.where(products.c.id > last)).all():
        values: list[dict[str, Any]] = [{"id_": id_, "folded_": folded(name)} for id_, name in found]
        bind.execute(fill, values)
        last = found[-1].id
