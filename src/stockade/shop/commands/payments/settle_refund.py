"""Record what a payment gateway definitely answered about a refund."""

from dataclasses import dataclass, field
from typing import ClassVar

from stockade.core import Accepted, Change, Decision, Event, JsonValue, Key, Rows
from stockade.service.ids import derived_id
from stockade.shop.commands.payments.postpone import OPEN
from stockade.shop.commands.payments.settle_payment import MAX_CODE
from stockade.shop.commands.reject import reject
from stockade.shop.model import constants
from stockade.shop.model.states import RefundState


@dataclass(frozen=True, slots=True)
class SettleRefund:
    """Refunded, or refused: then a person has to decide.

    Attributes:
        refund_id: of the refund.
        refunded: whether the money was given back.
        gateway_id: the gateway's name of the refund.
        code: the gateway's code of a refusal.
    """

    name: ClassVar[str] = "settle_refund"
    strategy_group: ClassVar[str] = "payment"

    request_id: str
    fingerprint: str
    now_ms: int
    refund_id: str
    refunded: bool
    gateway_id: str
    code: str
    keys: tuple[Key, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", (Key("refund", self.refund_id),))

    @classmethod
    def of(cls, refund_id: str, *, now_ms: int, refunded: bool, gateway_id: str = "", code: str = "") -> "SettleRefund":
        """The one request that records this answer."""
        request_id = derived_id("settle", refund_id, int(refunded))
        return cls(request_id, request_id, now_ms, refund_id, refunded, gateway_id, code)

    def problem(self) -> str | None:
        """Nothing: the content comes from a gateway, and is cut to fit."""
        return None

    def decide(self, rows: Rows) -> Decision:
        """Accepted with the refund as it is then; else REFUND_NOT_FOUND, or STATE_CONFLICT if it was settled."""
        key = self.keys[0]
        refund: RefundState | None = rows[key].state
        if refund is None:
            return reject(constants.REFUND_NOT_FOUND, refund_id=self.refund_id)
        corrected = self.refunded and refund.status == constants.REFUSED
        if refund.status not in OPEN and not corrected:
            return reject(constants.STATE_CONFLICT, refund_id=self.refund_id, status=refund.status)
        status = constants.REFUNDED if self.refunded else constants.REFUSED
        after = refund._replace(
            status=status,
            gateway_id=self.gateway_id[:200],
            code=self.code[:MAX_CODE],
            resolve_at_ms=constants.NEVER,
        )
        data: dict[str, JsonValue] = {
            "refund_id": self.refund_id,
            "payment_id": refund.payment_id,
            "status": status,
            "amount": refund.amount,
            "currency": refund.currency,
        }
        events = (Event(constants.PAYMENT_REFUNDED, key, {"user_id": refund.user_id, **data}),) if self.refunded else ()
        change = Change(after, note=status, ref=refund.payment_id)
        return Decision(Accepted(data), changes={key: change}, events=events)
