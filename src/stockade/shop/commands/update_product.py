"""Edit a product: its name, its category, the prices of its SKUs, and whether it is hidden."""

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from stockade.core import Accepted, Change, Decision, JsonValue, Key, Rows
from stockade.core.case_folding import folded
from stockade.shop.commands.reject import reject, reject_invalid, reject_unknown
from stockade.shop.model import constants
from stockade.shop.model.limits import (
    MAX_CATEGORY,
    MAX_NAME,
    MAX_SKUS,
    amount_problem,
    id_problem,
    range_problem,
    text_problem,
)
from stockade.shop.model.states import ProductState, StockState


class SkuPrice(NamedTuple):
    """A SKU of the product, and its price."""

    sku_id: str
    price: int


@dataclass(frozen=True, slots=True)
class UpdateProduct:
    """Replaces everything of a product that can be edited. The stock stays: see `AdjustStock`.

    Attributes:
        version: of the product that the editor has seen; another one is rejected (VERSION_CONFLICT).
        status: ACTIVE or HIDDEN; an order of a hidden product is rejected (NOT_ON_SALE).
        skus: every SKU of the product once.

    The price and `hidden` stand in the rows of the SKUs, which an order locks or compares. So each order is decided
    either before this change or after it, under every strategy that protects rows.
    """

    name: ClassVar[str] = "update_product"
    strategy_group: ClassVar[str] = "stock"

    request_id: str
    fingerprint: str
    now_ms: int
    product_id: str
    version: int
    product_name: str
    category: str
    status: str
    skus: tuple[SkuPrice, ...]
    keys: tuple[Key, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        stock = [Key("stock", sku_id) for sku_id, _ in self.skus]
        object.__setattr__(self, "keys", (Key("product", self.product_id), Key("skus", self.product_id), *stock))

    def problem(self) -> str | None:
        """What is wrong with the content, as a sentence, or None."""
        found = (
            id_problem("product_id", self.product_id)
            or text_problem("name", self.product_name, MAX_NAME)
            or text_problem("category", self.category, MAX_CATEGORY)
            or range_problem("the number of SKUs", len(self.skus), 1, MAX_SKUS)
        )
        if found is None and self.status not in (constants.ACTIVE, constants.HIDDEN):
            found = f"status must be {constants.ACTIVE} or {constants.HIDDEN}, not {self.status!r}"
        for sku_id, price in self.skus:
            found = found or id_problem("sku id", sku_id) or amount_problem("price", price, least=0)
        if found is None and len(set(self.keys)) < len(self.keys):
            return "each SKU of the product may stand once"
        return found

    def decide(self, rows: Rows) -> Decision:
        """Accepted with the product; else PRODUCT_NOT_FOUND, SKU_NOT_FOUND, VERSION_CONFLICT or INVALID_REQUEST."""
        problem = self.problem()
        if problem is not None:
            return reject_invalid(problem)
        product_key, skus_key, *stock_keys = self.keys
        product, of_product = rows[product_key], {sku.id for sku in rows[skus_key].state or ()}
        if product.state is None:
            return reject(constants.PRODUCT_NOT_FOUND, product_id=self.product_id)
        given = {key.id for key in stock_keys}
        unknown = sorted(key.id for key in stock_keys if key.id not in of_product or rows[key].state is None)
        if unknown:
            return reject_unknown(*unknown)
        if of_product - given:
            missing = ", ".join(sorted(of_product - given))
            return reject_invalid(f"skus must name every SKU of the product; missing: {missing}")
        if product.version != self.version:
            return reject(constants.VERSION_CONFLICT, product_id=self.product_id, version=product.version)
        changes: dict[Key, Change] = {product_key: Change(self._after(product.state), 0, 0, constants.EDIT)}
        skus: list[JsonValue] = []
        for key, (sku_id, price) in zip(stock_keys, self.skus, strict=True):
            state: StockState = rows[key].state
            skus.append({"id": sku_id, "price": price, "available": state.available})
            after = state._replace(price=price, hidden=int(self.status == constants.HIDDEN))
            if after != state:
                changes[key] = Change(after, 0, 0, constants.EDIT, self.product_id)
        data: dict[str, JsonValue] = {
            "id": self.product_id,
            "name": self.product_name,
            "category": self.category,
            "status": self.status,
            "version": self.version + 1,
            "skus": skus,
        }
        return Decision(Accepted(data), changes=changes)

    def _after(self, before: ProductState) -> ProductState:
        name = self.product_name
        return ProductState(name, self.category, self.status, before.created_ms, folded(name))
