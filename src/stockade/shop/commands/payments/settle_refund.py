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

    A gateway may give money back and report later that it could not: that is refused too, with the `gateway_id` of the
    refund that failed. A late answer about that one changes nothing any more.

    Attributes:
        refund_id: of the refund.
        refunded: whether the money was given back.
        gateway_id: the gateway's name of the refund; of a refusal empty, unless it was made and failed.
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
        request_id = derived_id("settle", refund_id, int(refunded), gateway_id)
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
        if refund.status not in OPEN and not self._is_corrected(refund):
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
        kind = constants.PAYMENT_REFUNDED if self.refunded else constants.PAYMENT_REFUND_REFUSED
        event = Event(kind, key, {"user_id": refund.user_id, **data, **({} if self.refunded else {"code": after.code})})
        change = Change(after, note=status, ref=refund.payment_id)
        return Decision(Accepted(data), changes={key: change}, events=(event,))

    def _is_corrected(self, refund: RefundState) -> bool:
        """Whether this is news about a settled refund: a refused one was made all the same, or one that was made has
        failed."""
        if self.refunded:
            failed_before = refund.gateway_id and self.gateway_id in ("", refund.gateway_id)
            return refund.status == constants.REFUSED and not failed_before
        fails_now = self.gateway_id and refund.gateway_id in ("", self.gateway_id)
        return refund.status == constants.REFUNDED and bool(fails_now)
