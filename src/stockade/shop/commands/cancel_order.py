"""Cancel an order: its stock and points are restored exactly once, and its rows stay."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stockade.core import Accepted, Change, Decision, Event, Insert, JsonValue, Key, Rows
from stockade.gateways import Money
from stockade.service.ids import derived_id
from stockade.shop.commands.cancelled import Left, cancelled_keys, what_is_left
from stockade.shop.commands.lines import RELEASE_HELD, RESTORE_SOLD, lines_as_json, move, stock_keys
from stockade.shop.commands.payments.refunding import new_refund, payment_keys, points_back
from stockade.shop.commands.reject import reject, reject_invalid
from stockade.shop.model import constants
from stockade.shop.model.limits import MAX_REASON, id_problem, text_problem
from stockade.shop.model.states import AttemptState, OrderState, PaymentState


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Releases the stock of a reserved order; restores stock and points of a paid order and cancels its payment.

    Of an order of which lines were cancelled before, what is left.

    While a gateway is asked (PAYING) the order is cancelled too. If the gateway then approves, `SettlePayment` records
    a refund. Until that is known, `refunds` names the payment, with the state UNKNOWN and without a refund.

    Attributes:
        user_id: the caller, who must be the owner; None: an administrator.
        reason: kept with the order, at most 200 characters.

    Only the order names the rows to restore, so the decision needs two passes.
    """

    name: ClassVar[str] = "cancel_order"
    strategy_group: ClassVar[str] = "stock"

    request_id: str
    fingerprint: str
    now_ms: int
    order_id: str
    user_id: str | None
    reason: str
    keys: tuple[Key, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", (Key("order", self.order_id), Key("lines", self.order_id)))

    def problem(self) -> str | None:
        """What is wrong with the content, as a sentence, or None."""
        return id_problem("order_id", self.order_id) or text_problem("reason", self.reason, MAX_REASON, least=0)

    def decide(self, rows: Rows) -> Decision:
        """Accepted with the refunds made; else ORDER_NOT_FOUND or STATE_CONFLICT."""
        problem = self.problem()
        if problem is not None:
            return reject_invalid(problem)
        order_key, lines_key = self.keys
        order_row = rows[order_key]
        order = order_row.state
        if order is None or (self.user_id is not None and self.user_id != order.user_id):
            return reject(constants.ORDER_NOT_FOUND, order_id=self.order_id)
        if order.status not in (constants.RESERVED, constants.PAYING, constants.PAID):
            return self._conflict(order)
        paid = order.status == constants.PAID
        lines = rows[lines_key].state or ()
        needed = [*cancelled_keys(order_row), *stock_keys(lines)]
        if paid:
            needed += payment_keys(order)
        if any(key not in rows for key in needed):
            return Decision(need_keys=needed)
        left = what_is_left(order_row, lines, rows)
        changes = move(self.order_id, left.lines, rows, RESTORE_SOLD if paid else RELEASE_HELD)
        if not changes:
            return self._conflict(order)
        refunds: list[JsonValue] = []
        inserts: list[Insert] = []
        if paid:
            payment = rows[Key("payment", order.payment_id)].state
            if payment is None or payment.status != constants.APPROVED:
                return self._conflict(order)
            refunds.append(self._refund(order, payment.amount - left.refunded, rows, changes, inserts))
        elif order.status == constants.PAYING:
            pending: dict[str, JsonValue] = {"payment_id": order.payment_id, "method": constants.PG}
            refunds.append(pending | {"amount": order.total - left.unpaid, "status": constants.UNKNOWN})
        changes[order_key] = Change(self._after(order), note=constants.CANCELLED, ref=self.request_id)
        return self._accept(order, left, changes, inserts, refunds=refunds, event_key=min(stock_keys(lines)))

    def _conflict(self, order: OrderState) -> Decision:
        return reject(constants.STATE_CONFLICT, order_id=self.order_id, status=order.status)

    def _refund(
        self,
        order: OrderState,
        amount: int,
        rows: Rows,
        changes: dict[Key, Change],
        inserts: list[Insert],
    ) -> dict[str, JsonValue]:
        """Add what cancels the payment, and gives back what is left of it, to `changes` and `inserts`."""
        points_key, payment_key, *attempt_key = payment_keys(order)
        payment: PaymentState = rows[payment_key].state
        changes[payment_key] = Change(_cancelled(payment), note=constants.CANCELLED, ref=self.order_id)
        refund: dict[str, JsonValue] = {"payment_id": order.payment_id, "method": payment.method}
        if payment.method != constants.PG:
            if amount:
                changes[points_key] = points_back(rows[points_key].state, amount, self.order_id)
            return refund | {"amount": amount}
        attempt: AttemptState = rows[attempt_key[0]].state
        after = attempt._replace(status=constants.CANCELLED, refunds=attempt.charged)
        changes[attempt_key[0]] = Change(after, note=constants.CANCELLED, ref=self.order_id)
        if attempt.refunds == attempt.charged:
            return refund | {"amount": 0}
        record = self._refund_by_gateway(order.payment_id, attempt)
        inserts.append(record)
        return refund | {
            "amount": record.values["amount"],
            "refund_id": record.values["id"],
            "status": constants.READY,
        }

    def _refund_by_gateway(self, payment_id: str, attempt: AttemptState) -> Insert:
        """What is left of the payment is owed from now on; `shop.payments` asks the gateway for it after the commit."""
        left = Money(attempt.charged - attempt.refunds, attempt.currency)
        refund_id = derived_id("refund", payment_id, self.order_id)
        return new_refund(refund_id, payment_id, attempt.user_id, left, reason=constants.CANCELLED, now_ms=self.now_ms)

    def _after(self, order: OrderState) -> OrderState:
        payment_id = order.payment_id if order.status == constants.PAID else ""
        return order._replace(
            status=constants.CANCELLED, reserved_until_ms=0, payment_id=payment_id, reason=self.reason
        )

    def _accept(
        self,
        order: OrderState,
        left: Left,
        changes: dict[Key, Change],
        inserts: Sequence[Insert],
        *,
        refunds: list[JsonValue],
        event_key: Key,
    ) -> Decision:
        data: dict[str, JsonValue] = {"order_id": self.order_id, "status": constants.CANCELLED, "refunds": refunds}
        body = {**data, "user_id": order.user_id, "reason": self.reason, "lines": lines_as_json(left.lines)}
        if order.status == constants.PAYING:  # to those who count, a refund says that the order was paid
            body["refunds"] = []
        return Decision(
            Accepted(data),
            changes=changes,
            inserts=inserts,
            events=(Event(constants.ORDER_CANCELLED, event_key, body),),
        )


def _cancelled(payment: PaymentState) -> PaymentState:
    return payment._replace(status=constants.CANCELLED)
