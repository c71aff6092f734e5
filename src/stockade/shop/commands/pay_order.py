"""Pay a reserved order with points: the reservation becomes a sale."""

from dataclasses import dataclass, field
from typing import ClassVar

from stockade.core import Accepted, Change, Decision, Event, Insert, JsonValue, Key, Rows
from stockade.shop.commands.cancelled import cancelled_keys, what_is_left
from stockade.shop.commands.lines import DEDUCT_HELD, lines_as_json, move, stock_keys
from stockade.shop.commands.reject import reject, reject_invalid
from stockade.shop.model import constants
from stockade.shop.model.limits import id_problem
from stockade.shop.model.states import LineState, OrderState, PointsState


@dataclass(frozen=True, slots=True)
class PayOrder:
    """Takes the points, deducts the reserved stock, inserts the payment. The order must be reserved and the caller's.

    Lines that were cancelled before are neither paid nor deducted.
    Only the lines name the stock rows, so the decision needs two passes.
    """

    name: ClassVar[str] = "pay_order"
    strategy_group: ClassVar[str] = "points"

    request_id: str
    fingerprint: str
    now_ms: int
    order_id: str
    user_id: str
    keys: tuple[Key, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keys = (Key("order", self.order_id), Key("lines", self.order_id), Key("points", self.user_id))
        object.__setattr__(self, "keys", keys)

    def problem(self) -> str | None:
        """What is wrong with the content, as a sentence, or None."""
        return id_problem("order_id", self.order_id) or id_problem("user_id", self.user_id)

    def decide(self, rows: Rows) -> Decision:
        """Accepted with the payment and the balance left; else ORDER_NOT_FOUND, ALREADY_PAID, PAYMENT_IN_PROGRESS,
        RESERVATION_EXPIRED, STATE_CONFLICT or INSUFFICIENT_POINTS."""
        problem = self.problem()
        if problem is not None:
            return reject_invalid(problem)
        order_key, lines_key, points_key = self.keys
        order_row = rows[order_key]
        order = order_row.state
        if order is None or order.user_id != self.user_id:
            return reject(constants.ORDER_NOT_FOUND, order_id=self.order_id)
        rejected = self._reject_state(order)
        if rejected is not None:
            return rejected
        lines = rows[lines_key].state or ()
        needed = [*cancelled_keys(order_row), *stock_keys(lines)]
        if any(key not in rows for key in needed):
            return Decision(need_keys=needed)
        points = rows[points_key].state or PointsState(0, 0)
        left = what_is_left(order_row, lines, rows)
        amount = order.total - left.unpaid
        if points.available < amount:
            return reject(constants.INSUFFICIENT_POINTS, required=amount, available=points.available)
        changes = move(self.order_id, left.lines, rows, DEDUCT_HELD)
        if changes is None or not changes:
            return reject(constants.STATE_CONFLICT, order_id=self.order_id, status=order.status)
        if amount:
            after = PointsState(points.balance - amount, points.held)
            changes[points_key] = Change(after, -amount, 0, constants.USE, self.order_id)
        changes[order_key] = Change(self._paid(order), note=constants.PAID, ref=self.request_id)
        event_key = min(stock_keys(lines))
        return self._accept(amount, left.lines, changes, points.balance - amount, event_key=event_key)

    def _reject_state(self, order: OrderState) -> Decision | None:
        if order.status == constants.PAID:
            return reject(constants.ALREADY_PAID, order_id=self.order_id, payment_id=order.payment_id)
        if order.status == constants.PAYING:
            return reject(constants.PAYMENT_IN_PROGRESS, order_id=self.order_id, payment_id=order.payment_id)
        late = order.status == constants.RESERVED and self.now_ms >= order.reserved_until_ms
        if late or order.status == constants.EXPIRED:
            return reject(constants.RESERVATION_EXPIRED, order_id=self.order_id)
        if order.status != constants.RESERVED:
            return reject(constants.STATE_CONFLICT, order_id=self.order_id, status=order.status)
        return None

    def _paid(self, order: OrderState) -> OrderState:
        return order._replace(status=constants.PAID, reserved_until_ms=0, payment_id=self.request_id)

    def _accept(
        self,
        amount: int,
        lines: tuple[LineState, ...],
        changes: dict[Key, Change],
        balance: int,
        *,
        event_key: Key,
    ) -> Decision:
        payment = {
            "id": self.request_id,
            "order_id": self.order_id,
            "user_id": self.user_id,
            "status": constants.APPROVED,
            "method": constants.POINTS,
            "amount": amount,
            "created_ms": self.now_ms,
        }
        event: dict[str, JsonValue] = {
            "order_id": self.order_id,
            "user_id": self.user_id,
            "status": constants.PAID,
            "payment_id": self.request_id,
            "amount": amount,
            "lines": lines_as_json(lines),
        }
        data: dict[str, JsonValue] = {
            "payment_id": self.request_id,
            "order_id": self.order_id,
            "status": constants.APPROVED,
            "amount": amount,
            "balance": balance,
        }
        return Decision(
            Accepted(data),
            changes=changes,
            inserts=(Insert("payments", payment),),
            events=(Event(constants.ORDER_PAID, event_key, event),),
        )
