"""What a contender claims under faults, and whether a recording agrees. Pure functions.

A strategy that protects its rows claims that no rule is broken under the faults that it names in its `Guarantees`, and
under those that every such strategy must survive. A negative control claims the contrary, where a cell is made for it.

Neighbours: `design.py` makes cells for the controls, `matrix.py` shows the verdicts of all cells together.
"""

from collections.abc import Collection, Sequence
from typing import Final

from stockade.lab.checkers.requests import exactly_once, order_states, same_answer
from stockade.lab.checkers.rows import (
    counters_conserved,
    no_oversell,
    points_conserved,
    real_time,
    serializable,
    stock_conserved,
    version_chain,
)
from stockade.lab.model.contender import Contender
from stockade.lab.recording.fault import Fault, claims, protects_rows
from stockade.lab.ring.cell import CellResult

HELD: Final = "no violation"
MUST_BREAK: Final = "must break"
MAY_BREAK: Final = "nothing"
PROCESSES: Final = 2  # service processes of a cell: what a claim about several processes needs at least
EXPECTATIONS: Final = (HELD, MUST_BREAK, MAY_BREAK)

AS_CLAIMED: Final = "as claimed"
BROKEN_AS_CLAIMED: Final = "violated as claimed"
VIOLATED: Final = "VIOLATED"
LATE: Final = "late"  # only a rule about time was broken, and when it was played again, the same one
NOT_CAUGHT: Final = "not caught"  # a control, in a cell that is made for it
NOT_EXPOSED: Final = "not exposed"  # a fault did not act: neither kept nor broken
FAILED: Final = "not recorded"  # the lab itself failed
NOT_RUN: Final = "not run"
DATA_RULES: Final = frozenset(
    each.RULE
    for each in (
        exactly_once,
        same_answer,
        order_states,
        version_chain,
        real_time,
        stock_conserved,
        points_conserved,
        counters_conserved,
        no_oversell,
        serializable,
    )
)
FAILURES: Final = (VIOLATED, LATE, FAILED)  # of which one alone makes a ring fail
WORST_FIRST: Final = (VIOLATED, LATE, FAILED, NOT_CAUGHT, NOT_EXPOSED, BROKEN_AS_CLAIMED, AS_CLAIMED, NOT_RUN)


def expected(contender: Contender, faults: Sequence[Fault], *, control: bool) -> str:
    """What a contender claims about a recording with several service processes.

    Args:
        contender: the strategy and its form.
        faults: all that are injected.
        control: the cell is made so that a negative control must be seen to break a rule.
    """
    if not protects_rows(contender) and control:
        return MUST_BREAK
    return HELD if claims(contender, faults, PROCESSES) else MAY_BREAK


def verdict(expectation: str, rules: Collection[str]) -> str:
    """Whether what was found agrees with what was claimed.

    Args:
        expectation: what was claimed.
        rules: those that were broken. A control is caught by a rule about data alone: that it was slow proves nothing.
    """
    if expectation == MUST_BREAK:
        return BROKEN_AS_CLAIMED if DATA_RULES.intersection(rules) else NOT_CAUGHT
    if rules:
        return VIOLATED if expectation == HELD else BROKEN_AS_CLAIMED
    return AS_CLAIMED


def controls_not_caught(results: Sequence[CellResult]) -> list[str]:
    """The controls that no cell of a database has caught, of the cells that are made for them: `NAME on DATABASE`."""
    made = [each for each in results if each.expected == MUST_BREAK]
    caught = {_control(each) for each in made if each.verdict == BROKEN_AS_CLAIMED}
    return sorted({_control(each) for each in made} - caught)


def not_exposed(results: Sequence[CellResult]) -> list[str]:
    """The ids of the cells that say nothing, because a fault did not act in them."""
    return [each.cell.id for each in results if each.verdict == NOT_EXPOSED]


def _control(result: CellResult) -> str:
    return f"{result.cell.contender} on {result.cell.database}"


def kept(results: Sequence[CellResult], *, complete: bool = False) -> bool:
    """Whether every claim was kept, every control was caught, and every cell could be recorded; not so without one.

    Args:
        results: of all cells.
        complete: whether a cell that was not exposed to its faults is a failure, too.
    """
    bad = any(each.verdict in FAILURES for each in results) or (complete and bool(not_exposed(results)))
    return bool(results) and not bad and not controls_not_caught(results)
