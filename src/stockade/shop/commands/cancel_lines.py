"""Cancel single lines of an order, or some units of them: their stock and their money come back, the rest goes on."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

from stockade.core import Accepted, Change, Decision, Event, Insert, JsonValue, Key, Row, Rows
from stockade.gateways import Money
from stockade.service.ids import derived_id
from stockade.shop.commands.cancel_order import CancelOrder
from stockade.shop.commands.cancelled import Left, cancelled_keys, what_is_left
from stockade.shop.commands.lines import (
    RELEASE_HELD,
    RESTORE_SOLD,
    OrderLine,
    amount_of,
    lines_as_json,
    move,
    stock_keys,
)
from stockade.shop.commands.payments.refunding import new_refund, payment_keys, points_back
from stockade.shop.commands.reject import reject, reject_invalid
from stockade.shop.model import constants
from stockade.shop.model.limits import MAX_REASON, id_problem, lines_problem, text_problem
from stockade.shop.model.states import AttemptState, LineState, OrderState, PaymentState

WHOLE: Final = 0  # as a quantity: everything that is left of the line
MAX_CANCELLATIONS: Final = 1_000  # of the lines of one order; the whole order can be cancelled after them


@dataclass(frozen=True, slots=True)
class CancelLines:
    """Releases the stock of lines of a reserved order; restores the stock of a paid one, and owes a refund of exactly
    price x quantity. When nothing is left, the order is cancelled as `CancelOrder` does.

    Each cancellation changes the row of the order, so of two that want the same units one is refused.

    Attributes:
        user_id: the caller, who must be the owner; None: an administrator.
        lines: distinct SKUs of the order; WHOLE as the quantity: what is left of the line.
        reason: told to consumers of events, and kept with the order if nothing is left; at most 200 characters.
    """

    name: ClassVar[str] = "cancel_lines"
    strategy_group: ClassVar[str] = "stock"

    request_id: str
    fingerprint: str
    now_ms: int
    order_id: str
    user_id: str | None
    lines: tuple[OrderLine, ...]
    reason: str
    keys: tuple[Key, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", (Key("order", self.order_id), Key("lines", self.order_id)))

    def problem(self) -> str | None:
        """What is wrong with the content, as a sentence, or None."""
        wanted = [OrderLine(sku_id, 1 if quantity == WHOLE else quantity) for sku_id, quantity in self.lines]
        return (
            id_problem("order_id", self.order_id)
            or lines_problem(wanted)
            or text_problem("reason", self.reason, MAX_REASON, least=0)
        )

    def decide(self, rows: Rows) -> Decision:
        """Accepted with the units cancelled and the refunds owed; else ORDER_NOT_FOUND, SKU_NOT_FOUND (not in the
        order), PAYMENT_IN_PROGRESS, LIMIT_EXCEEDED, or STATE_CONFLICT, with the lines of which less is left."""
        problem = self.problem()
        if problem is not None:
            return reject_invalid(problem)
        order_row, lines = rows[self.keys[0]], rows[self.keys[1]].state or ()
        order: OrderState | None = order_row.state
        if order is None or (self.user_id is not None and self.user_id != order.user_id):
            return reject(constants.ORDER_NOT_FOUND, order_id=self.order_id)
        if order.status == constants.PAYING:
            return reject(constants.PAYMENT_IN_PROGRESS, order_id=self.order_id, payment_id=order.payment_id)
        if order.status not in (constants.RESERVED, constants.PAID):
            return self._conflict(order)
        if unknown := sorted({each.sku_id for each in self.lines} - {line.sku_id for line in lines}):
            # not with `order_id` first: that is how the refusal of an order is recorded
            return reject(constants.SKU_NOT_FOUND, sku_ids=unknown, order_id=self.order_id)
        needed = self._needed(order_row)
        if any(key not in rows for key in needed):
            return Decision(need_keys=needed)
        left = what_is_left(order_row, lines, rows)
        chosen = self._chosen(left)
        if short := self._short(left):
            return self._conflict(order, lines_left=short)
        if left.cancellations + len(chosen) > MAX_CANCELLATIONS:
            return reject(constants.LIMIT_EXCEEDED, limit=MAX_CANCELLATIONS, order_id=self.order_id)
        if sum(line.quantity for line in chosen) == sum(line.quantity for line in left.lines):
            return self._cancel_order(order, lines, chosen, rows)
        return self._cancel_lines(order, lines, chosen, rows)

    def _needed(self, order_row: Row) -> list[Key]:
        order: OrderState = order_row.state
        needed = [*cancelled_keys(order_row), *stock_keys(self.lines)]
        if order.status == constants.PAID:
            needed += payment_keys(order)
        return needed

    def _chosen(self, left: Left) -> list[LineState]:
        """The lines of the order with the units to cancel."""
        wanted = dict(self.lines)
        lines = [line for line in left.lines if line.sku_id in wanted]
        return [line._replace(quantity=wanted[line.sku_id] or line.quantity) for line in lines]

    def _short(self, left: Left) -> list[JsonValue]:
        """The wanted lines of which less is left."""
        units = {line.sku_id: line.quantity for line in left.lines}
        return [
            {"sku_id": sku_id, "requested": quantity, "left": units.get(sku_id, 0)}
            for sku_id, quantity in self.lines
            if max(quantity, 1) > units.get(sku_id, 0)
        ]

    def _conflict(self, order: OrderState, **data: JsonValue) -> Decision:
        return reject(constants.STATE_CONFLICT, order_id=self.order_id, status=order.status, **data)

    def _cancel_order(
        self, order: OrderState, lines: Sequence[LineState], chosen: Sequence[LineState], rows: Rows
    ) -> Decision:
        """Nothing is left: the decision of `CancelOrder`, and the records of what this request cancelled."""
        whole = CancelOrder(
            self.request_id, self.fingerprint, self.now_ms, self.order_id, self.user_id, self.reason
        ).decide(rows)
        if not isinstance(whole.outcome, Accepted):
            return whole
        data = {**whole.outcome.data, "lines": _amounts(chosen)}
        records = self._records(order, lines, chosen)
        return replace(whole, outcome=Accepted(data), inserts=[*whole.inserts, *records])

    def _cancel_lines(
        self, order: OrderState, lines: Sequence[LineState], chosen: Sequence[LineState], rows: Rows
    ) -> Decision:
        paid = order.status == constants.PAID
        changes = move(self.order_id, chosen, rows, RESTORE_SOLD if paid else RELEASE_HELD)
        if not changes:
            return self._conflict(order)
        refunds: list[JsonValue] = []
        inserts = self._records(order, lines, chosen)
        if paid:
            refund = self._refund(order, amount_of(chosen), rows, changes, inserts)
            if refund is None:
                return self._conflict(order)
            refunds.append(refund)
        # the state stays: this guards the rows that are inserted
        changes[self.keys[0]] = Change(order, note=constants.CANCEL_LINES, ref=self.request_id)
        data: dict[str, JsonValue] = {"order_id": self.order_id, "status": order.status, "refunds": refunds}
        body = {**data, "user_id": order.user_id, "reason": self.reason, "lines": lines_as_json(chosen)}
        return Decision(
            Accepted({**data, "lines": _amounts(chosen)}),
            changes=changes,
            inserts=inserts,
            # the key of all events of the order, which keeps them in order
            events=(Event(constants.ORDER_LINES_CANCELLED, min(stock_keys(lines)), body),),
        )

    def _refund(
        self, order: OrderState, amount: int, rows: Rows, changes: dict[Key, Change], inserts: list[Insert]
    ) -> dict[str, JsonValue] | None:
        """Add what gives the money back to `changes` and `inserts`; None: the payment does not allow it."""
        payment: PaymentState | None = rows[Key("payment", order.payment_id)].state
        if payment is None or payment.status != constants.APPROVED:
            return None
        refund: dict[str, JsonValue] = {"payment_id": order.payment_id, "method": payment.method, "amount": amount}
        if amount == 0:
            return refund
        if payment.method != constants.PG:
            points_key = Key("points", order.user_id)
            changes[points_key] = points_back(rows[points_key].state, amount, self.order_id)
            return refund
        attempt_key = Key("attempt", order.payment_id)
        attempt: AttemptState | None = rows[attempt_key].state
        if attempt is None or attempt.refunds + amount > attempt.charged:
            return None
        after = attempt._replace(refunds=attempt.refunds + amount)
        changes[attempt_key] = Change(after, note=constants.CANCEL_LINES, ref=self.order_id)
        refund_id = derived_id("refund", order.payment_id, self.request_id)
        money = Money(amount, attempt.currency)
        inserts.append(
            new_refund(
                refund_id, order.payment_id, attempt.user_id, money, reason=constants.CANCELLED, now_ms=self.now_ms
            )
        )
        return refund | {"refund_id": refund_id, "status": constants.READY}

    def _records(self, order: OrderState, lines: Sequence[LineState], chosen: Sequence[LineState]) -> list[Insert]:
        numbers = {line.sku_id: number for number, line in enumerate(lines, 1)}
        payment_id = order.payment_id if order.status == constants.PAID else ""
        return [
            Insert(
                "cancelled_lines",
                {
                    "order_id": self.order_id,
                    "line": numbers[line.sku_id],
                    "request_id": self.request_id,
                    "sku_id": line.sku_id,
                    "product_id": line.product_id,
                    "quantity": line.quantity,
                    "amount": line.price * line.quantity,
                    "payment_id": payment_id,
                },
            )
            for line in chosen
        ]


def _amounts(lines: Sequence[LineState]) -> list[JsonValue]:
    """What was cancelled, as the response shows it."""
    return [{"sku_id": line.sku_id, "quantity": line.quantity, "amount": line.price * line.quantity} for line in lines]
