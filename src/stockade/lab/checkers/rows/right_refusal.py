"""Right refusal: who was refused saw that there was too little, or an order that could not do what was asked.

Judged where the workload said beforehand what a request would take; if it says that too little is the only reason, the
code does not matter, and a refusal must name the versions on which it was decided. The balance at a version is the
initial amount and the changes up to it. Steps of an order are judged by its state at the version that was seen.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.operation import REFUSED, Operation
from stockade.shop.model.constants import (
    ALREADY_PAID,
    INSUFFICIENT_POINTS,
    ORDER,
    ORDER_NOT_FOUND,
    OUT_OF_STOCK,
    PAID,
    RESERVED,
    STATE_CONFLICT,
)

RULE: Final = "right-refusal"
TOO_LITTLE: Final = (OUT_OF_STOCK, INSUFFICIENT_POINTS)
ABOUT_STATE: Final = (ORDER_NOT_FOUND, STATE_CONFLICT, ALREADY_PAID)
MAY: Final[Mapping[str, tuple[str, ...]]] = {  # states of an order in which a command must not be refused for its state
    "cancel_order": (RESERVED, PAID),
    "pay_order": (RESERVED,),
    "expire_order": (RESERVED,),
}


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Report refused requests for which every row had enough, or whose order was in the right state."""
    free: dict[tuple[str, int], int] = {}
    for key, lines in history.ledger.items():
        amount, held = history.final.initial.get(key, 0), 0
        free[key, lines[0].version - 1] = amount
        for line in lines:
            amount, held = amount + line.delta, held + line.held
            free[key, line.version] = amount - held
    states = {order.order_id: order.states for order in history.final.orders}
    for operation in history.decided.values():
        if operation.type != REFUSED:
            continue
        text = _stock_error(history, operation, free) or _state_error(operation, states)
        if text:
            key = min(operation.takes or operation.deltas or operation.keys)
            yield Violation(
                RULE,
                f"request {operation.request_id} was refused ({operation.code}), but {text}",
                key=key,
                version=operation.versions.get(key, 0),
                request_id=operation.request_id,
                operation=operation.number,
                at_ns=operation.return_ns,
            )


def _stock_error(history: IndexedHistory, operation: Operation, free: Mapping[tuple[str, int], int]) -> str:
    if operation.takes:
        undeclared = [key for key in operation.takes if key not in operation.versions]
        if undeclared:
            return f"names no version of {', '.join(undeclared)} on which that was decided"
        return _had_enough(history, operation, operation.takes, free)
    takes = {key: -delta for key, delta in operation.deltas.items() if delta < 0}
    if operation.code not in TOO_LITTLE or not takes:
        return ""
    if any(key not in operation.deltas for key in operation.keys if key in history.final.initial):
        return ""
    return _had_enough(history, operation, takes, free)


def _had_enough(
    history: IndexedHistory, operation: Operation, takes: Mapping[str, int], free: Mapping[tuple[str, int], int]
) -> str:
    """What there was, if it is certain that each row had as much as the request takes; not where it is unknown."""
    texts = []
    for key, units in takes.items():
        version = operation.versions.get(key, -1)
        there = free.get((key, version))
        if there is None and key not in history.ledger and key in operation.versions:
            there = history.final.initial.get(key)
        if there is None or there < units:
            return ""
        texts.append(f"{key} had {there} at version {version}, it takes {units}")
    return "; ".join(texts)


def _state_error(operation: Operation, states: Mapping[str, tuple[str, ...]]) -> str:
    """An order's first state is its version 1, each later one is the next version."""
    may = MAY.get(operation.command)
    if may is None or operation.code not in ABOUT_STATE:
        return ""
    for key, version in operation.versions.items():
        kind, _, id_ = key.partition(":")
        had = states.get(id_, ()) if kind == ORDER else ()
        if 1 <= version <= len(had) and had[version - 1] in may:
            return f"order {id_} was {had[version - 1]} at version {version}"
    return ""
