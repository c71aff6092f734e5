"""Put a SKU into a user's cart, or set how many of it are wanted."""

from dataclasses import dataclass, field
from typing import ClassVar

from stockade.core import Accepted, Decision, Insert, Key, Rows
from stockade.shop.commands.reject import reject, reject_invalid, reject_unknown
from stockade.shop.model import constants
from stockade.shop.model.limits import id_problem, quantity_problem


@dataclass(frozen=True, slots=True)
class SetCartItem:
    """The last request counts. A cart reserves no stock: only the order checks whether there is enough."""

    name: ClassVar[str] = "set_cart_item"
    strategy_group: ClassVar[str] = "stock"

    request_id: str
    fingerprint: str
    now_ms: int
    user_id: str
    sku_id: str
    quantity: int
    keys: tuple[Key, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", (Key("stock", self.sku_id),))

    def problem(self) -> str | None:
        """What is wrong with the content, as a sentence, or None."""
        return (
            id_problem("user_id", self.user_id)
            or id_problem("sku_id", self.sku_id)
            or quantity_problem("quantity", self.quantity)
        )

    def decide(self, rows: Rows) -> Decision:
        """Accepted with the item as a cart shows it; else SKU_NOT_FOUND or NOT_ON_SALE."""
        problem = self.problem()
        if problem is not None:
            return reject_invalid(problem)
        state = rows[self.keys[0]].state
        if state is None:
            return reject_unknown(self.sku_id)
        if state.hidden:
            return reject(constants.NOT_ON_SALE, sku_ids=[self.sku_id])
        item = {"user_id": self.user_id, "sku_id": self.sku_id, "quantity": self.quantity}
        data = {
            "sku_id": self.sku_id,
            "quantity": self.quantity,
            "price": state.price,
            "available": state.available,
        }
        return Decision(Accepted(data), inserts=(Insert("cart_items", item, replace=True),))
