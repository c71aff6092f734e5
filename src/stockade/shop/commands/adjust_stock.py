"""Correct the stock of a SKU by hand: a delivery, a count, a loss."""

from dataclasses import dataclass, field
from typing import ClassVar

from stockade.core import Accepted, Change, Decision, Event, Key, Rows
from stockade.shop.commands.reject import reject, reject_invalid, reject_unknown
from stockade.shop.model import constants
from stockade.shop.model.limits import MAX_REASON, MAX_STOCK, id_problem, range_problem, text_problem
from stockade.shop.model.states import StockState


@dataclass(frozen=True, slots=True)
class AdjustStock:
    """Changes the stock on hand; reserved units cannot be removed.

    Attributes:
        delta: units to add or, if negative, to remove; not 0.
        reason: at most 200 characters; part of the event.
    """

    name: ClassVar[str] = "adjust_stock"
    strategy_group: ClassVar[str] = "stock"

    request_id: str
    fingerprint: str
    now_ms: int
    sku_id: str
    delta: int
    reason: str
    keys: tuple[Key, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", (Key("stock", self.sku_id),))

    def problem(self) -> str | None:
        """What is wrong with the content, as a sentence, or None."""
        if self.delta == 0:
            return "delta must not be 0"
        return (
            id_problem("sku_id", self.sku_id)
            or range_problem("delta", self.delta, -MAX_STOCK, MAX_STOCK)
            or text_problem("reason", self.reason, MAX_REASON, least=0)
        )

    def decide(self, rows: Rows) -> Decision:
        """Accepted with the new stock; else SKU_NOT_FOUND, OUT_OF_STOCK or LIMIT_EXCEEDED."""
        problem = self.problem()
        if problem is not None:
            return reject_invalid(problem)
        key = self.keys[0]
        state = rows[key].state
        if state is None:
            return reject_unknown(self.sku_id)
        if state.available + self.delta < 0:
            short = {"sku_id": self.sku_id, "requested": -self.delta, "available": state.available}
            return reject(constants.OUT_OF_STOCK, shortages=[short])
        on_hand = state.on_hand + self.delta
        if self.delta > 0 and on_hand > MAX_STOCK:
            return reject(constants.LIMIT_EXCEEDED, limit=MAX_STOCK, on_hand=state.on_hand)
        after = StockState(state.product_id, state.price, on_hand, state.reserved, state.hidden)
        data = {
            "entry_id": self.request_id,
            "sku_id": self.sku_id,
            "on_hand": on_hand,
            "reserved": state.reserved,
            "available": after.available,
        }
        return Decision(
            Accepted(data),
            changes={key: Change(after, self.delta, 0, constants.ADJUST, self.request_id)},
            events=(Event(constants.STOCK_ADJUSTED, key, {**data, "delta": self.delta, "reason": self.reason}),),
        )
