"""Claim the right to ask a payment gateway to approve the payment of an order or a charge.

The claim is committed before the gateway is asked, so exactly one caller asks, and whoever finds the claim after a
crash knows under which reference to look (docs/adr/0022).
"""

from dataclasses import dataclass, field
from typing import ClassVar, Final

from stockade.core import Accepted, Change, Decision, Insert, JsonValue, Key, Rows
from stockade.shop.commands.cancelled import cancelled_keys, what_is_left
from stockade.shop.commands.reject import reject, reject_invalid
from stockade.shop.model import constants
from stockade.shop.model.limits import MAX_AMOUNT, amount_problem, id_problem, text_problem
from stockade.shop.model.payment_reference import MAX_ATTEMPTS, reference_of
from stockade.shop.model.states import AttemptState, ChargeState, OrderState, PointsState

MAX_PAYMENT_KEY: Final = 200  # characters


@dataclass(frozen=True, slots=True)
class ClaimPayment:
    """Begins an attempt. The order must be reserved and the caller's; then it is PAYING, and keeps its stock.

    Attributes:
        request_id: of the buyer's request. Another request under the same Idempotency-Key meets it, whatever it asks.
        payment_id: of the payment; the same id.
        subject: `order` or `charge`.
        subject_id: of the order or the charge.
        payment_key: what the buyer's page received from the gateway.
        amount: what the buyer agreed to; another one than that of the order or charge is rejected.
        currency: of the amounts.
        gateway: its name.
        resolve_at_ms: when a reconciler takes the attempt over, in milliseconds since 1970; the claimer must have its
            answer before.
    """

    name: ClassVar[str] = "claim_payment"
    strategy_group: ClassVar[str] = "payment"

    request_id: str
    fingerprint: str
    now_ms: int
    payment_id: str
    subject: str
    subject_id: str
    user_id: str
    payment_key: str
    amount: int
    currency: str
    gateway: str
    resolve_at_ms: int
    keys: tuple[Key, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        beside = Key("lines", self.subject_id) if self.subject == constants.ORDER else Key("points", self.user_id)
        object.__setattr__(self, "keys", (Key(self.subject, self.subject_id), beside))

    def problem(self) -> str | None:
        """What is wrong with the content, as a sentence, or None."""
        return (
            id_problem(f"{self.subject}_id", self.subject_id)
            or id_problem("user_id", self.user_id)
            or text_problem("payment_key", self.payment_key, MAX_PAYMENT_KEY)
            or amount_problem("amount", self.amount)
        )

    def decide(self, rows: Rows) -> Decision:
        """Accepted with the attempt's id and reference, and the SKUs of the order; else ORDER_NOT_FOUND or
        CHARGE_NOT_FOUND, ALREADY_PAID, PAYMENT_IN_PROGRESS, RESERVATION_EXPIRED, STATE_CONFLICT, AMOUNT_MISMATCH or
        LIMIT_EXCEEDED."""
        problem = self.problem()
        if problem is not None:
            return reject_invalid(problem)
        key = self.keys[0]
        state = rows[key].state
        of_order = self.subject == constants.ORDER
        if state is None or state.user_id != self.user_id:
            code = constants.ORDER_NOT_FOUND if of_order else constants.CHARGE_NOT_FOUND
            return self._reject(code)
        rejected = self._reject_order(state) if of_order else self._reject_charge(state, rows)
        if rejected is not None:
            return rejected
        currency = self.currency if of_order else state.currency
        needed = cancelled_keys(rows[key]) if of_order else []
        if any(each not in rows for each in needed):
            return Decision(need_keys=needed)
        owed = state.total - what_is_left(rows[key], (), rows).unpaid if of_order else state.amount
        if (self.amount, self.currency) != (owed, currency):
            return self._reject(constants.AMOUNT_MISMATCH, expected=owed, amount=self.amount, currency=currency)
        if state.attempts >= MAX_ATTEMPTS:
            return self._reject(constants.LIMIT_EXCEEDED, limit=MAX_ATTEMPTS)
        number = state.attempts + 1
        status = constants.PAYING if of_order else constants.APPROVING
        after = state._replace(status=status, attempts=number, payment_id=self.payment_id)
        reference = reference_of(self.subject_id, number)
        data: dict[str, JsonValue] = {**self._ids(), "reference": reference, "status": constants.APPROVING}
        if of_order:  # so that what settles the payment names its stock rows
            data["sku_ids"] = [line.sku_id for line in rows[self.keys[1]].state or ()]
        return Decision(
            Accepted(data),
            changes={key: Change(after, note=status, ref=self.payment_id)},
            inserts=(Insert("payment_attempts", {"id": self.payment_id, **self.attempt(reference)._asdict()}),),
        )

    def _reject_order(self, order: OrderState) -> Decision | None:
        if order.status == constants.PAID:
            return self._reject(constants.ALREADY_PAID, payment_id=order.payment_id)
        if order.status == constants.PAYING:
            return self._reject(constants.PAYMENT_IN_PROGRESS, payment_id=order.payment_id)
        late = order.status == constants.RESERVED and self.now_ms >= order.reserved_until_ms
        if late or order.status == constants.EXPIRED:
            return self._reject(constants.RESERVATION_EXPIRED)
        if order.status != constants.RESERVED:
            return self._reject(constants.STATE_CONFLICT, status=order.status)
        return None

    def _reject_charge(self, charge: ChargeState, rows: Rows) -> Decision | None:
        if charge.status == constants.APPROVED:
            return self._reject(constants.ALREADY_PAID, payment_id=charge.payment_id)
        if charge.status == constants.APPROVING:
            return self._reject(constants.PAYMENT_IN_PROGRESS, payment_id=charge.payment_id)
        if charge.status != constants.READY:
            return self._reject(constants.STATE_CONFLICT, status=charge.status)
        balance = (rows[self.keys[1]].state or PointsState(0, 0)).balance
        if balance + charge.amount > MAX_AMOUNT:  # as a rule; other points may come while the gateway is asked
            return self._reject(constants.LIMIT_EXCEEDED, limit=MAX_AMOUNT, balance=balance)
        return None

    def attempt(self, reference: str) -> AttemptState:
        """The attempt that an accepted claim has begun, with its reference."""
        return AttemptState(
            subject=self.subject,
            subject_id=self.subject_id,
            reference=reference,
            user_id=self.user_id,
            gateway=self.gateway,
            payment_key=self.payment_key,
            amount=self.amount,
            currency=self.currency,
            fingerprint=self.fingerprint,
            created_ms=self.now_ms,
            status=constants.APPROVING,
            gateway_id="",
            charged=0,
            refunds=0,
            code="",
            resolve_at_ms=self.resolve_at_ms,
            tries=0,
        )

    def _ids(self) -> dict[str, JsonValue]:
        return {"payment_id": self.payment_id, f"{self.subject}_id": self.subject_id}

    def _reject(self, code: str, **data: JsonValue) -> Decision:
        # the id last: a refusal with a limit and `order_id` first would be recorded as that of an order
        return reject(code, **{**data, f"{self.subject}_id": self.subject_id})
