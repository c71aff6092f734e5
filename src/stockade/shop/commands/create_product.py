"""Put a product with its SKUs and their first stock on sale."""

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from stockade.core import Accepted, Change, Decision, Insert, JsonValue, Key, Rows
from stockade.core.case_folding import folded
from stockade.shop.commands.reject import reject, reject_invalid
from stockade.shop.model import constants
from stockade.shop.model.limits import (
    MAX_CATEGORY,
    MAX_NAME,
    MAX_SKUS,
    MAX_STOCK,
    amount_problem,
    id_problem,
    range_problem,
    text_problem,
)
from stockade.shop.model.states import StockState


class NewSku(NamedTuple):
    """A SKU to be made: its price, its first stock in units, and its id (empty: derived)."""

    price: int
    stock: int
    id: str = ""


@dataclass(frozen=True, slots=True)
class CreateProduct:
    """A new product. Ids that are not given derive from the request id.

    Attributes:
        product_id: must be unused. A product has its SKUs from the start, so one that exists is recognised by them
            (PRODUCT_CONFLICT); giving a used product id together with unused SKU ids is an error of the database.
    """

    name: ClassVar[str] = "create_product"
    strategy_group: ClassVar[str] = "stock"

    request_id: str
    fingerprint: str
    now_ms: int
    product_name: str
    category: str
    skus: tuple[NewSku, ...]
    product_id: str = ""
    keys: tuple[Key, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = [sku.id or f"{self.request_id[:24]}-{number}" for number, sku in enumerate(self.skus, 1)]
        object.__setattr__(self, "keys", tuple([Key("stock", sku_id) for sku_id in ids]))

    def problem(self) -> str | None:
        """What is wrong with the content, as a sentence, or None."""
        found = (
            text_problem("name", self.product_name, MAX_NAME)
            or text_problem("category", self.category, MAX_CATEGORY)
            or range_problem("the number of SKUs", len(self.skus), 1, MAX_SKUS)
            or (id_problem("product_id", self.product_id) if self.product_id else None)
        )
        for sku, key in zip(self.skus, self.keys, strict=True):
            found = (
                found
                or id_problem("sku id", key.id)
                or amount_problem("price", sku.price, least=0)
                or range_problem("stock", sku.stock, 0, MAX_STOCK)
            )
        if found is None and len(set(self.keys)) < len(self.keys):
            return "each SKU of a product needs an id of its own"
        return found

    def decide(self, rows: Rows) -> Decision:
        """Accepted with the product and its SKUs; else PRODUCT_CONFLICT naming the SKU ids in use."""
        problem = self.problem()
        if problem is not None:
            return reject_invalid(problem)
        used = [key.id for key in self.keys if rows[key].state is not None]
        product_id = self.product_id or self.request_id
        if used:
            return reject(constants.PRODUCT_CONFLICT, product_id=product_id, sku_ids=used)
        product = {
            "id": product_id,
            "name": self.product_name,
            "category": self.category,
            "status": constants.ACTIVE,
            "created_ms": self.now_ms,
            "folded_name": folded(self.product_name),
        }
        changes: dict[Key, Change] = {}
        skus: list[JsonValue] = []
        for sku, key in zip(self.skus, self.keys, strict=True):
            state = StockState(product_id, sku.price, sku.stock, 0, 0)
            changes[key] = Change(state, sku.stock, 0, constants.CREATE, product_id)
            skus.append({"id": key.id, "price": sku.price, "available": sku.stock})
        data: dict[str, JsonValue] = {
            "id": product_id,
            "name": self.product_name,
            "category": self.category,
            "status": constants.ACTIVE,
            "version": 1,
            "skus": skus,
        }
        return Decision(Accepted(data), changes=changes, inserts=(Insert("products", product),))
