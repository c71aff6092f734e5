"""Orders: one approved payment for each paid order, and no step between states that the shop does not allow."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.final_state import OrderLine
from stockade.shop.model.constants import CANCELLED, EXPIRED, PAID, PAYING, RESERVED

RULE: Final = "order-states"
FIRST: Final = (RESERVED, PAID)
STEPS: Final[Mapping[str, tuple[str, ...]]] = {
    RESERVED: (PAYING, PAID, CANCELLED, EXPIRED),
    PAYING: (RESERVED, PAID, CANCELLED),
    PAID: (CANCELLED,),
}


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Report what is wrong with each order, its payments first."""
    seen = set()
    for order in history.final.orders:
        text = "exists twice" if order.order_id in seen else _error(order)
        seen.add(order.order_id)
        if text:
            yield Violation(RULE, f"order {order.order_id} {text}", request_id=order.order_id)


def _error(order: OrderLine) -> str:
    if order.payments > 1:
        return f"has {order.payments} approved payments"
    if order.status == PAID and not order.payments:
        return "is paid, and has no approved payment"
    states = order.states
    if not states or states[0] not in FIRST:
        return f"began as {states[0] if states else 'nothing'}"
    for before, after in pairwise(states):
        if after not in STEPS.get(before, ()):
            return f"went from {before} to {after}"
    return f"is {order.status}, its last step made it {states[-1]}" if order.status != states[-1] else ""
