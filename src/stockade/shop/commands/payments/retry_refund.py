"""Owe a refund again that the gateway has refused: another refund takes its place.

A refund's id is its key at the gateway, which repeats its first answer to it. So asking again needs a refund with an id
of its own. Neighbour: `shop.payments.decision` looks at the gateway first.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from stockade.core import Accepted, Change, Decision, JsonValue, Key, Rows
from stockade.gateways import Money
from stockade.service.ids import derived_id
from stockade.shop.commands.payments.refunding import new_refund
from stockade.shop.commands.reject import reject
from stockade.shop.model import constants
from stockade.shop.model.states import RefundState


@dataclass(frozen=True, slots=True)
class RetryRefund:
    """The refused refund is REPLACED, which is its last state; a new one of the same amount is owed.

    Both are one transaction, so what is owed of the payment stays the same, and of two persons who decide at once one
    is accepted.

    Attributes:
        refund_id: of the refund that was refused.
    """

    name: ClassVar[str] = "retry_refund"
    strategy_group: ClassVar[str] = "payment"

    request_id: str
    fingerprint: str
    now_ms: int
    refund_id: str
    keys: tuple[Key, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", (Key("refund", self.refund_id),))

    @classmethod
    def of(cls, refund_id: str, refund: RefundState, *, now_ms: int) -> "RetryRefund":
        """The one request that replaces a refund as it was read."""
        request_id = derived_id("retry", refund_id, refund.gateway_id)
        return cls(request_id, request_id, now_ms, refund_id)

    def problem(self) -> str | None:
        """Nothing: the content comes from the shop itself."""
        return None

    def decide(self, rows: Rows) -> Decision:
        """Accepted with the new refund; else REFUND_NOT_FOUND, or STATE_CONFLICT if it is not refused."""
        key = self.keys[0]
        refund: RefundState | None = rows[key].state
        if refund is None:
            return reject(constants.REFUND_NOT_FOUND, refund_id=self.refund_id)
        if refund.status != constants.REFUSED:
            return reject(constants.STATE_CONFLICT, refund_id=self.refund_id, status=refund.status)
        new_id, money = replacement_of(self.refund_id), Money(refund.amount, refund.currency)
        record = new_refund(new_id, refund.payment_id, refund.user_id, money, reason=refund.reason, now_ms=self.now_ms)
        change = Change(refund._replace(status=constants.REPLACED), note=constants.REPLACED, ref=new_id)
        data: dict[str, JsonValue] = {
            "refund_id": new_id,
            "payment_id": refund.payment_id,
            "status": constants.READY,
            "amount": refund.amount,
            "currency": refund.currency,
        }
        return Decision(Accepted(data), changes={key: change}, inserts=(record,))


def replacement_of(refund_id: str) -> str:
    """The id of the refund that takes the place of a refused one."""
    return derived_id("refund", refund_id, constants.REPLACED)
