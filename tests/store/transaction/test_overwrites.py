"""Records that a batch writes more than once: the last write counts, as if the commands had come one by one."""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import pytest
from sqlalchemy import select

from stockade.core import Accepted, Decision, Delete, Guard, Insert
from stockade.shop.model.tables import cart_items
from tests.store.commands import rid
from tests.store.conftest import soon


@dataclass(frozen=True, slots=True)
class Cart:
    """Put a quantity of one SKU into the cart, or take it out (0)."""

    request_id: str
    quantity: int
    fingerprint: str = "f"
    now_ms: int = 1
    name: ClassVar[str] = "cart"
    strategy_group: ClassVar[str] = "stock"
    keys: ClassVar[tuple] = ()

    def decide(self, rows):
        where = {"user_id": "u", "sku_id": "s"}
        if self.quantity == 0:
            return Decision(Accepted({}), deletes=[Delete("cart_items", where)])
        put = Insert("cart_items", {**where, "quantity": self.quantity}, replace=True)
        return Decision(Accepted({}), inserts=[put])


@pytest.mark.parametrize("guard", [Guard.ROW, Guard.VERSION, Guard.DELTA], ids=lambda guard: guard.kind.value)
async def test_the_last_write_of_a_record_counts(store, guard):
    """Every order of putting in, taking out and putting in again, in one batch, ends as its last step says."""
    for number, steps in enumerate(itertools.permutations((0, 2, 3))):
        batch = [Cart(rid(guard.kind.value, number, step), step) for step in steps]
        answers = await store.transact(batch, guard, deadline=soon())
        assert all(isinstance(answer, Accepted) for answer in answers), answers
        left = await store.database.read(lambda c: list(c.execute(select(cart_items.c.quantity)).scalars()))
        assert left == ([steps[-1]] if steps[-1] else [])
