"""Which rules a history is not judged by: the shop's own, of an application that has no such rows.

What is not judged is neither kept nor broken, so it is said. Neighbours: `recording/final_phase.py` keeps the kinds of
rows, `cli/lab` prints what this finds.
"""

from typing import Final

from stockade.lab.checkers.requests import order_states
from stockade.lab.checkers.requests.complete import HAS_ORDERS
from stockade.lab.checkers.rows import points_conserved, stock_conserved
from stockade.lab.history.history import History
from stockade.shop.model.resources import POINTS, STOCK

KINDS: Final = "kinds"  # in `FinalState.extra`: of rows that the application has; none: a history of before
OF_KIND: Final = {stock_conserved.RULE: STOCK.kind, points_conserved.RULE: POINTS.kind}


def not_judged(history: History) -> dict[str, str]:
    """The shop's rules that say nothing about a history, with what its application lacks.

    Args:
        history: of a recording.
    """
    kinds, found = history.final.extra.get(KINDS), dict[str, str]()
    if isinstance(kinds, list):
        found = {rule: f"rows of the kind {kind}" for rule, kind in OF_KIND.items() if kind not in kinds}
    if history.final.extra.get(HAS_ORDERS, True) is False:
        found[order_states.RULE] = "orders of the shop"
    return found


def not_judged_lines(history: History) -> list[str]:
    """The same as a line; none if every rule says something."""
    found = not_judged(history)
    rules = "; ".join(f"{rule}: there are no {what}" for rule, what in found.items())
    return [f"  not judged here, rules of the shop: {rules}"] if found else []
