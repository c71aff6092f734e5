"""Charge a user's points account; the first charge opens it."""

from dataclasses import dataclass, field
from typing import ClassVar

from stockade.core import Accepted, Change, Decision, Event, Key, Rows
from stockade.shop.commands.reject import reject, reject_invalid
from stockade.shop.model import constants
from stockade.shop.model.limits import MAX_AMOUNT, amount_problem, id_problem
from stockade.shop.model.states import PointsState


@dataclass(frozen=True, slots=True)
class ChargePoints:
    """Adds points. Requests with one id are one charge; each other id is another charge.

    Attributes:
        amount: 1 to MAX_AMOUNT points; a charge that would raise the balance above MAX_AMOUNT is rejected.
    """

    name: ClassVar[str] = "charge_points"
    strategy_group: ClassVar[str] = "points"

    request_id: str
    fingerprint: str
    now_ms: int
    user_id: str
    amount: int
    keys: tuple[Key, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", (Key("points", self.user_id),))

    def problem(self) -> str | None:
        """What is wrong with the content, as a sentence, or None."""
        return id_problem("user_id", self.user_id) or amount_problem("amount", self.amount)

    def decide(self, rows: Rows) -> Decision:
        """Accepted with the charge and the new balance; else LIMIT_EXCEEDED."""
        problem = self.problem()
        if problem is not None:
            return reject_invalid(problem)
        key = self.keys[0]
        balance, held = rows[key].state or (0, 0)
        amount = self.amount
        after = balance + amount
        if after > MAX_AMOUNT:
            return reject(constants.LIMIT_EXCEEDED, limit=MAX_AMOUNT, balance=balance)
        data = {"charge_id": self.request_id, "status": constants.APPROVED, "amount": amount, "balance": after}
        return Decision(
            Accepted(data),
            changes={key: Change(PointsState(after, held), amount, 0, constants.CHARGE, self.request_id)},
            events=(Event(constants.POINTS_CHARGED, key, {"user_id": self.user_id, **data}),),
        )
