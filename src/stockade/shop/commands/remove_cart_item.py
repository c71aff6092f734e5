"""Take a SKU out of a user's cart."""

from dataclasses import dataclass, field
from typing import ClassVar

from stockade.core import Accepted, Decision, Delete, Key, Rows
from stockade.shop.commands.reject import reject_invalid
from stockade.shop.model.limits import id_problem


@dataclass(frozen=True, slots=True)
class RemoveCartItem:
    """Removing an item that is not in the cart is accepted. No protected row is changed."""

    name: ClassVar[str] = "remove_cart_item"
    strategy_group: ClassVar[str] = "stock"

    request_id: str
    fingerprint: str
    now_ms: int
    user_id: str
    sku_id: str
    keys: tuple[Key, ...] = field(init=False, repr=False, compare=False, default=())

    def problem(self) -> str | None:
        """What is wrong with the content, as a sentence, or None."""
        return id_problem("user_id", self.user_id) or id_problem("sku_id", self.sku_id)

    def decide(self, rows: Rows) -> Decision:
        """Accepted, with no data."""
        problem = self.problem()
        if problem is not None:
            return reject_invalid(problem)
        item = {"user_id": self.user_id, "sku_id": self.sku_id}
        return Decision(Accepted({}), deletes=(Delete("cart_items", item),))
