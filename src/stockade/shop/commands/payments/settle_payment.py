"""Record what a payment gateway definitely answered about an attempt, and do what follows from it."""

from dataclasses import dataclass, field
from typing import ClassVar, Final

from stockade.core import Accepted, Change, Decision, Event, Insert, JsonValue, Key, Rows
from stockade.gateways import Money
from stockade.service.ids import derived_id
from stockade.shop.commands.cancelled import cancelled_keys, what_is_left
from stockade.shop.commands.lines import DEDUCT_HELD, lines_as_json, move, stock_keys
from stockade.shop.commands.payments.refunding import new_refund
from stockade.shop.commands.reject import reject
from stockade.shop.model import constants
from stockade.shop.model.limits import MAX_AMOUNT
from stockade.shop.model.states import AttemptState, ChargeState, LineState, OrderState, PointsState

RETRY_MS: Final = 120_000  # after a decline an order is reserved for at least so long, for another card
MAX_CODE: Final = 100


@dataclass(frozen=True, slots=True)
class SettlePayment:
    """Approved: the order is paid, or the points are added. Declined: the order is reserved again.

    Whoever learns the answer sends it: the request that asked, the reconciler, a notification. All send the same
    request id, so the first one counts, and its outcome is what a repeated request of the buyer receives.
    Approved although nothing can be delivered any more (cancelled, another amount, a balance above its limit): the
    attempt is UNFULFILLABLE and a refund is recorded, which `shop.payments` then asks for.

    Attributes:
        request_id: `settle_id(payment_id)`; `late_id(payment_id)` for an approval after a recorded decline.
        fingerprint: of the attempt.
        approved: whether the buyer was charged.
        gateway_id: the gateway's name of the payment.
        amount: what the buyer was charged, in the smallest unit; 0 if declined.
        currency: of it.
        code: the gateway's code of a decline.
        subject: of the attempt, as the next two; with them the rows are named at once, and the command can be in a
            batch. Empty: it asks for them.
        subject_id: of the order or charge.
        user_id: whose points are charged.
        sku_ids: of the order's lines, if they are known; what is missing is asked for.
    """

    name: ClassVar[str] = "settle_payment"
    strategy_group: ClassVar[str] = "payment"

    request_id: str
    fingerprint: str
    now_ms: int
    payment_id: str
    approved: bool
    gateway_id: str
    amount: int
    currency: str
    code: str
    subject: str = ""
    subject_id: str = ""
    user_id: str = ""
    sku_ids: tuple[str, ...] = ()
    keys: tuple[Key, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keys = [Key("attempt", self.payment_id)]
        if self.subject:
            keys += _subject_keys(self.subject, self.subject_id, self.user_id)
        object.__setattr__(self, "keys", (*keys, *(Key("stock", sku_id) for sku_id in self.sku_ids)))

    @classmethod
    def of(
        cls,
        payment_id: str,
        attempt: AttemptState,
        *,
        now_ms: int,
        charged: Money | None,
        gateway_id: str = "",
        code: str = "",
        late: bool = False,
        sku_ids: tuple[str, ...] = (),
    ) -> "SettlePayment":
        """The one request that records an answer about an attempt.

        Args:
            payment_id: of the attempt.
            attempt: as it was read.
            now_ms: wall clock in milliseconds since 1970.
            charged: what the gateway took; None: it declined.
            gateway_id: the gateway's name of the payment.
            code: of a decline.
            late: an approval after a recorded decline.
            sku_ids: of the order's lines, if they are known.
        """
        return cls(
            late_id(payment_id) if late else settle_id(payment_id),
            payment_id if late else attempt.fingerprint,
            now_ms,
            payment_id,
            charged is not None,
            gateway_id,
            charged.amount if charged else 0,
            charged.currency if charged else attempt.currency,
            code,
            attempt.subject,
            attempt.subject_id,
            attempt.user_id,
            sku_ids,
        )

    def problem(self) -> str | None:
        """Nothing: the content comes from a gateway, and is cut to fit."""
        return None

    def decide(self, rows: Rows) -> Decision:
        """Accepted with the payment as it is then; else PAYMENT_NOT_FOUND, or STATE_CONFLICT if it was settled."""
        attempt_key = self.keys[0]
        attempt: AttemptState | None = rows[attempt_key].state
        if attempt is None:
            return reject(constants.PAYMENT_NOT_FOUND, payment_id=self.payment_id)
        late = self.approved and attempt.status == constants.DECLINED
        if attempt.status not in constants.OPEN_ATTEMPT and not late:
            return reject(constants.STATE_CONFLICT, payment_id=self.payment_id, status=attempt.status)
        of_order = attempt.subject == constants.ORDER
        subject_key, beside = _subject_keys(attempt.subject, attempt.subject_id, attempt.user_id)
        if subject_key not in rows or beside not in rows:
            return Decision(need_keys=(subject_key, beside))
        state = rows[subject_key].state
        if state is None:
            return reject(constants.STATE_CONFLICT, payment_id=self.payment_id, status=attempt.status)
        if not self.approved:
            return self._declined(attempt, subject_key, state)
        if late or self._wrong_money(attempt) or state.payment_id != self.payment_id:
            return self._unfulfillable(attempt, subject_key, state)
        if of_order:
            return self._order_approved(attempt, rows, subject_key, state, rows[beside].state or ())
        return self._charge_approved(attempt, subject_key, state, beside, rows[beside].state or PointsState(0, 0))

    def _wrong_money(self, attempt: AttemptState) -> bool:
        return (self.amount, self.currency) != (attempt.amount, attempt.currency)

    def _declined(self, attempt: AttemptState, key: Key, state: OrderState | ChargeState) -> Decision:
        changes = {self.keys[0]: self._settled(attempt, constants.DECLINED)}
        if (opened := self._open_again(state, constants.READY)) is not None:
            changes[key] = opened
        data = {**self._data(attempt, constants.DECLINED), "code": self.code[:MAX_CODE]}
        return Decision(Accepted(data), changes=changes, events=(self._event(constants.PAYMENT_DECLINED, data),))

    def _open_again(self, state: OrderState | ChargeState, of_charge: str) -> Change | None:
        """What is paid, no longer waiting for this attempt; None if it does not wait for it."""
        if state.payment_id != self.payment_id:
            return None
        if isinstance(state, OrderState) and state.status == constants.PAYING:
            # always another time: the request id that ends a reservation holds it
            until_ms = max(state.reserved_until_ms + 1, self.now_ms + RETRY_MS)
            after = state._replace(status=constants.RESERVED, payment_id="", reserved_until_ms=until_ms)
            return Change(after, note=constants.RESERVED, ref=self.payment_id)
        if isinstance(state, ChargeState) and state.status == constants.APPROVING:
            return Change(state._replace(status=of_charge), note=of_charge, ref=self.payment_id)
        return None

    def _order_approved(
        self, attempt: AttemptState, rows: Rows, key: Key, order: OrderState, lines: tuple[LineState, ...]
    ) -> Decision:
        if order.status != constants.PAYING:
            return self._unfulfillable(attempt, key, order)
        is_whole = attempt.amount == order.total and all(line.price for line in lines)
        # an order of which nothing was cancelled costs its total; while it is PAYING, nothing can be cancelled
        needed = [*([] if is_whole else cancelled_keys(rows[key])), *stock_keys(lines)]
        if any(each not in rows for each in needed):
            return Decision(need_keys=needed)
        left = lines if is_whole else what_is_left(rows[key], lines, rows).lines
        changes = move(attempt.subject_id, left, rows, DEDUCT_HELD)
        if not changes:  # damaged by a writer without protection: the buyer must not pay for it
            return self._unfulfillable(attempt, key, order)
        after = order._replace(status=constants.PAID, reserved_until_ms=0)
        changes[key] = Change(after, note=constants.PAID, ref=self.payment_id)
        changes[self.keys[0]] = self._settled(attempt, constants.APPROVED)
        data = self._data(attempt, constants.APPROVED)
        payment = {
            "id": self.payment_id,
            "order_id": attempt.subject_id,
            "user_id": attempt.user_id,
            "status": constants.APPROVED,
            "method": constants.PG,
            "amount": attempt.amount,
            "created_ms": self.now_ms,
        }
        body: dict[str, JsonValue] = {
            **data,
            "status": constants.PAID,
            "user_id": attempt.user_id,
            "lines": lines_as_json(left),
        }
        return Decision(
            Accepted(data),
            changes=changes,
            inserts=(Insert("payments", payment),),
            events=(Event(constants.ORDER_PAID, min(stock_keys(lines)), body),),
        )

    def _charge_approved(
        self, attempt: AttemptState, key: Key, charge: ChargeState, points_key: Key, points: PointsState
    ) -> Decision:
        balance = points.balance + attempt.amount
        if charge.status != constants.APPROVING or balance > MAX_AMOUNT:
            return self._unfulfillable(attempt, key, charge)
        changes = {
            self.keys[0]: self._settled(attempt, constants.APPROVED),
            key: Change(charge._replace(status=constants.APPROVED), note=constants.APPROVED, ref=self.payment_id),
            points_key: Change(
                PointsState(balance, points.held), attempt.amount, 0, constants.CHARGE, attempt.subject_id
            ),
        }
        data = {**self._data(attempt, constants.APPROVED), "balance": balance}
        event = Event(constants.POINTS_CHARGED, points_key, {"user_id": attempt.user_id, **data})
        return Decision(Accepted(data), changes=changes, events=(event,))

    def _unfulfillable(self, attempt: AttemptState, key: Key, state: OrderState | ChargeState) -> Decision:
        """The buyer was charged for nothing: record it, and a refund of what was charged."""
        settled = self._settled(attempt, constants.UNFULFILLABLE)
        changes = {self.keys[0]: settled._replace(state=settled.state._replace(refunds=self.amount))}
        if (opened := self._open_again(state, constants.CANCELLED)) is not None:
            changes[key] = opened
        refund_id = derived_id("refund", self.payment_id, constants.UNFULFILLABLE)
        money = Money(self.amount, self.currency)
        refund = new_refund(
            refund_id, self.payment_id, attempt.user_id, money, reason=constants.UNFULFILLABLE, now_ms=self.now_ms
        )
        data = {**self._data(attempt, constants.UNFULFILLABLE), "refund_id": refund_id}
        event = self._event(constants.PAYMENT_UNFULFILLABLE, data)
        return Decision(Accepted(data), changes=changes, inserts=(refund,), events=(event,))

    def _settled(self, attempt: AttemptState, status: str) -> Change:
        after = attempt._replace(
            status=status,
            gateway_id=self.gateway_id[:200] or attempt.gateway_id,
            charged=self.amount if self.approved else 0,
            code=self.code[:MAX_CODE],
            resolve_at_ms=constants.NEVER,
        )
        return Change(after, note=status, ref=attempt.subject_id)

    def _data(self, attempt: AttemptState, status: str) -> dict[str, JsonValue]:
        return {
            "payment_id": self.payment_id,
            f"{attempt.subject}_id": attempt.subject_id,
            "status": status,
            "amount": attempt.amount,
            "currency": attempt.currency,
        }

    def _event(self, kind: str, data: dict[str, JsonValue]) -> Event:
        return Event(kind, self.keys[0], data)


def _subject_keys(subject: str, subject_id: str, user_id: str) -> tuple[Key, Key]:
    """The order or charge, and what is needed beside it: the lines, or the account."""
    beside = Key("lines", subject_id) if subject == constants.ORDER else Key("points", user_id)
    return Key(subject, subject_id), beside


def settle_id(payment_id: str) -> str:
    """The request id of the first definite answer. The payment's own id is that of the buyer's request, the claim."""
    return derived_id("settle", payment_id)


def late_id(payment_id: str) -> str:
    """The request id of an approval that comes after a decline was recorded."""
    return derived_id("late", payment_id)
