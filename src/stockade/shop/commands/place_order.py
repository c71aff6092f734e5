"""Place an order of several lines, paid with points in the same step or reserved to be paid later."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from stockade.core import Accepted, Change, Decision, Delete, Event, Insert, JsonValue, Key, Rejected, Rows
from stockade.core.timestamps import rfc3339
from stockade.shop.commands.lines import OrderLine, Taken, stock_keys, take
from stockade.shop.model import constants
from stockade.shop.model.limits import MAX_AMOUNT, MAX_RESERVE_MS, id_problem, lines_problem, range_problem
from stockade.shop.model.states import PointsState

ANY_TOTAL: Final = -1


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """All lines or none, at current prices; the ordered SKUs are removed from the buyer's cart.

    Attributes:
        lines: distinct SKUs; the same SKU twice is rejected (INVALID_REQUEST), never merged.
        pay: POINTS takes the points now, LATER reserves the stock for `reserve_ms`.
        reserve_ms: how long a reservation lasts, in milliseconds.
        expected_total: what the buyer was told that the lines cost: another total is rejected (PRICE_CHANGED).
            ANY_TOTAL: the prices at the time of the decision are taken whatever they are.

    The data of a rejection has `order_id`, `user_id` and `lines`. A rejected order leaves only its request row, from
    which the owner sees a REJECTED order, a row in `refused_orders`, by which lists find it, and an event.
    """

    name: ClassVar[str] = "place_order"
    strategy_group: ClassVar[str] = "stock"

    request_id: str
    fingerprint: str
    now_ms: int
    user_id: str
    lines: tuple[OrderLine, ...]
    pay: str
    reserve_ms: int = 600_000
    expected_total: int = ANY_TOTAL
    keys: tuple[Key, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keys = stock_keys(self.lines)
        if self.pay == constants.POINTS:
            keys.append(Key("points", self.user_id))
        object.__setattr__(self, "keys", tuple(keys))

    def problem(self) -> str | None:
        """What is wrong with the content, as a sentence, or None."""
        if self.pay not in (constants.POINTS, constants.LATER):
            return f"pay must be {constants.POINTS} or {constants.LATER}, not {self.pay!r}"
        return (
            lines_problem(self.lines)
            or id_problem("user_id", self.user_id)
            or range_problem("reserve_ms", self.reserve_ms, 1, MAX_RESERVE_MS)
            or range_problem("expected_total", self.expected_total, ANY_TOTAL, MAX_AMOUNT)
        )

    def decide(self, rows: Rows) -> Decision:
        """Accepted with the order's id, state, total and lines; Rejected as in the class's description."""
        problem = self.problem()
        if problem is not None:
            return Decision(self._rejected(constants.INVALID_REQUEST, {"detail": problem}))
        later = self.pay == constants.LATER
        taken = take(self.request_id, self.lines, self.keys, rows, reserve=later, now_ms=self.now_ms)
        if isinstance(taken, Rejected):
            return self._reject(taken)
        if self.expected_total not in (ANY_TOTAL, taken.total):
            prices = [{"sku_id": line.sku_id, "price": rows[key].state.price} for line, key in self._with_keys()]
            total = {"expected_total": self.expected_total, "total": taken.total}
            return self._reject(Rejected(constants.PRICE_CHANGED, {**total, "prices": prices}))
        return self._reserved(taken) if later else self._paid(taken, rows)

    def _reserved(self, taken: Taken) -> Decision:
        until_ms = self.now_ms + self.reserve_ms
        data = self._data(constants.RESERVED, taken)
        data["reserved_until"] = rfc3339(until_ms)
        inserts = [self._order(constants.RESERVED, taken.total, until_ms), *taken.inserts]
        return self._accept(data, taken, inserts)

    def _paid(self, taken: Taken, rows: Rows) -> Decision:
        total = taken.total
        key = self.keys[-1]
        balance, held = rows[key].state or (0, 0)
        if balance - held < total:
            return self._reject(
                Rejected(constants.INSUFFICIENT_POINTS, {"required": total, "available": balance - held})
            )
        if total:  # an order that costs nothing moves no points and opens no account
            taken.changes[key] = Change(PointsState(balance - total, held), -total, 0, constants.USE, self.request_id)
        payment = {
            "id": self.request_id,
            "order_id": self.request_id,
            "user_id": self.user_id,
            "status": constants.APPROVED,
            "method": constants.POINTS,
            "amount": total,
            "created_ms": self.now_ms,
        }
        inserts = [self._order(constants.PAID, total, 0), *taken.inserts, Insert("payments", payment)]
        return self._accept(self._data(constants.PAID, taken), taken, inserts)

    def _accept(self, data: dict[str, JsonValue], taken: Taken, inserts: list[Insert]) -> Decision:
        user_id = self.user_id
        body = {"user_id": user_id, "pay": self.pay, **data}
        return Decision(
            Accepted(data),
            changes=taken.changes,
            inserts=inserts,
            deletes=[Delete("cart_items", {"user_id": user_id, "sku_id": line.sku_id}) for line in self.lines],
            events=(Event(constants.ORDER_PLACED, min(self.keys[: len(self.lines)]), body),),
        )

    def _data(self, status: str, taken: Taken) -> dict[str, JsonValue]:
        return {"order_id": self.request_id, "status": status, "total": taken.total, "lines": taken.lines}

    def _order(self, status: str, total: int, reserved_until_ms: int) -> Insert:
        return Insert(
            "orders",
            {
                "id": self.request_id,
                "user_id": self.user_id,
                "status": status,
                "total": total,
                "pay": self.pay,
                "reserved_until_ms": reserved_until_ms,
                "payment_id": self.request_id if status == constants.PAID else "",
                "reason": "",
                "created_ms": self.now_ms,
            },
        )

    def _reject(self, why: Rejected) -> Decision:
        """Reject, and add an event for callers that did not wait and for consumers that count orders."""
        rejected = self._rejected(why.code, why.data)
        event = Event(constants.ORDER_REJECTED, min(self.keys[: len(self.lines)]), {**rejected.data, "code": why.code})
        listed = {"id": self.request_id, "user_id": self.user_id, "created_ms": self.now_ms}
        return Decision(rejected, inserts=(Insert("refused_orders", listed),), events=(event,))

    def _with_keys(self) -> Iterator[tuple[OrderLine, Key]]:
        return zip(self.lines, self.keys, strict=False)

    def _rejected(self, code: str, why: Mapping[str, JsonValue]) -> Rejected:
        lines: list[JsonValue] = [{"sku_id": line.sku_id, "quantity": line.quantity} for line in self.lines]
        return Rejected(code, {"order_id": self.request_id, "user_id": self.user_id, **why, "lines": lines})
