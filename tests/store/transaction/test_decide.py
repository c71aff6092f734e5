"""What a batch adds up to, before anything is written."""

from dataclasses import dataclass

import pytest

from stockade.core import Accepted, Change, Decision, Key, Row
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.resources import STOCK
from stockade.shop.model.states import StockState
from stockade.store.schema.known_tables import KnownTables
from stockade.store.transaction.decide import BatchDecider

SKU = Key("stock", "s")


@dataclass(frozen=True, slots=True)
class SetPrice:
    """Gives the SKU a price, and takes a unit."""

    request_id: str
    price: int
    name: str = "set_price"
    strategy_group: str = "stock"
    fingerprint: str = "f"
    now_ms: int = 1
    keys: tuple[Key, ...] = (SKU,)

    def decide(self, rows):
        state = rows[SKU].state
        after = state._replace(price=self.price, on_hand=state.on_hand - 1)
        return Decision(Accepted({}), changes={SKU: Change(after, -1)})


@pytest.mark.parametrize(("prices", "expected"), [((10, 10), True), ((20, 20), False), ((20, 10), False)])
def test_a_price_that_was_another_in_between_is_no_matter_of_counters(prices, expected):
    """A conditional UPDATE that moves only the counters would keep another writer's price where the batch set its own
    and took it back: a row whose price was touched at all is compared as a whole."""
    commands = [SetPrice(f"{n:032x}", price) for n, price in enumerate(prices)]
    rows = {SKU: Row(SKU, StockState("p", 10, 5, 0), 1)}
    (update,) = (
        BatchDecider({"stock": STOCK}, KnownTables(SCHEMA.metadata, [STOCK]))
        .decide(commands, rows, {})
        .updates.values()
    )
    assert update.only_counters is expected
    assert (update.after.state, update.delta, update.count) == (StockState("p", prices[-1], 3, 0), -2, 2)
