"""Open a charge of points that a payment gateway is to approve; nothing is charged yet."""

from dataclasses import dataclass, field
from typing import ClassVar

from stockade.core import Accepted, Decision, Insert, JsonValue, Key, Rows
from stockade.shop.commands.reject import reject, reject_invalid
from stockade.shop.model import constants
from stockade.shop.model.limits import MAX_AMOUNT, amount_problem, id_problem
from stockade.shop.model.payment_reference import reference_of
from stockade.shop.model.states import PointsState


@dataclass(frozen=True, slots=True)
class OpenCharge:
    """Records what a buyer wants to charge. `ClaimPayment` then has it approved.

    Attributes:
        amount: in the smallest unit of the currency, 1 to MAX_AMOUNT; as many points are added.
        currency: three capital letters.
    """

    name: ClassVar[str] = "open_charge"
    strategy_group: ClassVar[str] = "payment"

    request_id: str
    fingerprint: str
    now_ms: int
    user_id: str
    amount: int
    currency: str
    keys: tuple[Key, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", (Key("charge", self.request_id), Key("points", self.user_id)))

    def problem(self) -> str | None:
        """What is wrong with the content, as a sentence, or None."""
        return id_problem("user_id", self.user_id) or amount_problem("amount", self.amount)

    def decide(self, rows: Rows) -> Decision:
        """Accepted with the charge, and with the order id that the gateway's page is to be opened with; else
        LIMIT_EXCEEDED: the balance of now leaves no room for it."""
        problem = self.problem()
        if problem is not None:
            return reject_invalid(problem)
        account: PointsState = rows[self.keys[1]].state or PointsState(0, 0)
        if account.balance + self.amount > MAX_AMOUNT:
            return reject(constants.LIMIT_EXCEEDED, limit=MAX_AMOUNT, balance=account.balance)
        charge = {
            "id": self.request_id,
            "user_id": self.user_id,
            "amount": self.amount,
            "currency": self.currency,
            "status": constants.READY,
            "attempts": 0,
            "payment_id": "",
            "created_ms": self.now_ms,
        }
        data: dict[str, JsonValue] = {
            "charge_id": self.request_id,
            "status": constants.READY,
            "amount": self.amount,
            "currency": self.currency,
            "pg_order_id": reference_of(self.request_id, 1),
        }
        return Decision(Accepted(data), inserts=(Insert("point_charges", charge),))
