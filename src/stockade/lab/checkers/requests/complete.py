"""Complete: the final state has everything that the operations are about, or nothing was judged.

A row that is missing breaks no rule about its amount, and an order that is missing none about its states. So each row
that there was at first, or that somebody wrote, must be there, and each order that was accepted.
"""

from collections.abc import Iterator
from typing import Final

from stockade.lab.checkers.indexed_history import READ, IndexedHistory
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.operation import OK, REFUSED

RULE: Final = "complete"
HAS_ORDERS: Final = "has_orders"  # in `FinalState.extra`: whether the application has the shop's orders; usually it has
PLACE: Final = "place_order"


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Report rows, records and orders that are missing."""
    rows = {row.key for row in history.final.rows}
    written = {
        key: each.request_id
        for each in history.history.operations
        if each.type == OK and each.command != READ
        for key in each.versions
    }
    for key in (*history.final.initial, *(key for key in written if key not in history.final.initial)):
        if key not in rows:
            by = f", and request {written[key]} wrote it" if key in written else ""
            yield Violation(RULE, f"there is no row {key} in the end{by}", key=key, request_id=written.get(key, ""))
    if any(each.type in (OK, REFUSED) for each in history.decided.values()) and not history.final.requests:
        yield Violation(RULE, "requests were decided, and none is recorded in the end")
    if history.final.extra.get(HAS_ORDERS, True):
        yield from _orders(history)


def _orders(history: IndexedHistory) -> Iterator[Violation]:
    orders = {each.order_id for each in history.final.orders}
    for id_ in sorted(history.accepted - orders):
        tries = history.tries.get(id_)
        if tries and tries[0].command == PLACE:
            text = f"order {id_} was accepted, and does not exist in the end"
            yield Violation(RULE, text, request_id=id_, operation=tries[0].number, at_ns=tries[-1].return_ns)
