"""End an expired reservation: its stock is available again."""

from dataclasses import dataclass, field
from typing import ClassVar

from stockade.core import Accepted, Change, Decision, Event, JsonValue, Key, Rows
from stockade.service.ids import derived_id
from stockade.shop.commands.cancelled import cancelled_keys, what_is_left
from stockade.shop.commands.lines import RELEASE_HELD, lines_as_json, move, stock_keys
from stockade.shop.commands.reject import reject, reject_invalid
from stockade.shop.model import constants
from stockade.shop.model.limits import id_problem
from stockade.shop.model.states import OrderState


@dataclass(frozen=True, slots=True)
class ExpireOrder:
    """Ends a reservation that has expired at `now_ms`.

    The sweepers of all processes create it with `due`, so that all of them send the same request.
    """

    name: ClassVar[str] = "expire_order"
    strategy_group: ClassVar[str] = "stock"

    request_id: str
    fingerprint: str
    now_ms: int
    order_id: str
    keys: tuple[Key, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", (Key("order", self.order_id), Key("lines", self.order_id)))

    @classmethod
    def due(cls, order_id: str, reserved_until_ms: int, now_ms: int) -> "ExpireOrder":
        """The one request that ends this reservation.

        The end of the reservation is part of the id, so a prolonged reservation would be ended by another request.
        """
        request_id = derived_id("expire", order_id, reserved_until_ms)
        return cls(request_id, request_id, now_ms, order_id)

    def problem(self) -> str | None:
        """What is wrong with the content, as a sentence, or None."""
        return id_problem("order_id", self.order_id)

    def decide(self, rows: Rows) -> Decision:
        """Accepted with state EXPIRED; else ORDER_NOT_FOUND or STATE_CONFLICT (paid, cancelled, expired, not due)."""
        problem = self.problem()
        if problem is not None:
            return reject_invalid(problem)
        order_key, lines_key = self.keys
        order_row = rows[order_key]
        order = order_row.state
        if order is None:
            return reject(constants.ORDER_NOT_FOUND, order_id=self.order_id)
        if order.status != constants.RESERVED or self.now_ms < order.reserved_until_ms:
            return reject(constants.STATE_CONFLICT, order_id=self.order_id, status=order.status)
        lines = rows[lines_key].state or ()
        needed = [*cancelled_keys(order_row), *stock_keys(lines)]
        if any(key not in rows for key in needed):
            return Decision(need_keys=needed)
        left = what_is_left(order_row, lines, rows).lines
        changes = move(self.order_id, left, rows, RELEASE_HELD)
        if not changes:
            return reject(constants.STATE_CONFLICT, order_id=self.order_id, status=order.status)
        changes[order_key] = Change(_expired(order), note=constants.EXPIRED, ref=self.request_id)
        data: dict[str, JsonValue] = {"order_id": self.order_id, "status": constants.EXPIRED}
        body = {**data, "user_id": order.user_id, "lines": lines_as_json(left)}
        event = Event(constants.ORDER_EXPIRED, min(stock_keys(lines)), body)
        return Decision(Accepted(data), changes=changes, events=(event,))


def _expired(order: OrderState) -> OrderState:
    return order._replace(status=constants.EXPIRED, reserved_until_ms=0, reason=constants.RESERVATION_EXPIRED)
