"""What a contender claims under faults, and whether a recording agrees: for rings, soaks and single recordings alike.

A strategy that protects its rows claims that no rule is broken under the faults that it names in its `Guarantees`, and
under those that every such strategy must survive. A negative control claims the contrary, where clients share rows.
Pure functions. Neighbours: `design.py` makes cells for the controls, `summary.py` sums up one recording, `matrix.py`
shows the verdicts of all cells together.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from stockade.lab.checkers import DATA_RULES
from stockade.lab.checkers.violation import Violation
from stockade.lab.model.contender import Contender
from stockade.lab.recording.fault import Fault, claims, protects_rows
from stockade.lab.ring.cell import CellResult
from stockade.lab.targets.target_database import SQLITE

HELD: Final = "no violation"
MUST_BREAK: Final = "must break"
MAY_BREAK: Final = "nothing"
PROCESSES: Final = 2  # service processes of a cell: what a claim about several processes needs at least
EXPECTATIONS: Final = (HELD, MUST_BREAK, MAY_BREAK)

AS_CLAIMED: Final = "as claimed"
BROKEN_AS_CLAIMED: Final = "violated as claimed"
VIOLATED: Final = "VIOLATED"
LATE: Final = "late"  # all that was broken is about time; in a ring, when it was played again, too
NOT_CAUGHT: Final = "not caught"  # a control, where it must be
NOT_EXPOSED: Final = "not exposed"  # a fault did not act: neither kept nor broken
FAILED: Final = "not recorded"  # the lab itself failed
NOT_RUN: Final = "not run"
KEPT: Final = (AS_CLAIMED, BROKEN_AS_CLAIMED)
FAILURES: Final = (VIOLATED, LATE, FAILED)  # of which one alone makes a ring fail
WORST_FIRST: Final = (VIOLATED, LATE, FAILED, NOT_CAUGHT, NOT_EXPOSED, BROKEN_AS_CLAIMED, AS_CLAIMED, NOT_RUN)


def is_control(
    contender: Contender, faults: Sequence[Fault], database: str, *, shares_rows: bool, processes: int = PROCESSES
) -> bool:
    """Whether a contender, a negative control, must be seen to break a rule in a recording.

    What protects nothing must, with or without a fault. A mutex of one process must beside another process, without a
    fault that ends one of them. A bare lock must under a fault that takes the lease from a living holder; not on
    SQLite, which has one writer at a time.

    Args:
        contender: the strategy and its form.
        faults: all that are injected.
        database: name or URL.
        shares_rows: the clients of the workload do, see `Workload.must_break`.
        processes: that run the service.
    """
    if protects_rows(contender) or not shares_rows:
        return False
    if contender.form:
        return database != SQLITE and any(contender.form in fault.must_fail for fault in faults)
    return contender.guarantees.may_oversell or (processes > 1 and not faults)


def expected(contender: Contender, faults: Sequence[Fault], *, control: bool, processes: int = PROCESSES) -> str:
    """What a contender claims about a recording.

    Args:
        contender: the strategy and its form.
        faults: all that are injected.
        control: what `is_control` says of it.
        processes: that run the service.
    """
    if control:
        return MUST_BREAK
    return HELD if claims(contender, faults, processes) else MAY_BREAK


def verdict(expectation: str, violations: Iterable[Violation], *, exposed: bool = True) -> str:
    """Whether what was found agrees with what was claimed.

    Who claims to break no rule is held to every one of them. Who does not is caught by a rule about data alone: that
    it was slow, or left something behind, proves nothing about what it protects.

    Args:
        expectation: what was claimed.
        violations: all of one recording.
        exposed: whether each fault acted. Where one did not, nothing follows but that a claim was broken: who breaks
            a rule under fewer faults breaks his claim as well.
    """
    found = list(violations)
    if expectation == HELD and found:
        return LATE if all(each.about_time for each in found) else VIOLATED
    if not exposed:
        return NOT_EXPOSED
    if expectation != HELD and any(each.rule in DATA_RULES for each in found):
        return BROKEN_AS_CLAIMED
    return NOT_CAUGHT if expectation == MUST_BREAK else AS_CLAIMED


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
    """Whether every claim was kept, every control was caught, and every cell could be recorded; not so without a cell
    that was exposed to its faults.

    Args:
        results: of all cells.
        complete: whether a cell that was not exposed to its faults is a failure, too.
    """
    bad = any(each.verdict in FAILURES for each in results) or (complete and bool(not_exposed(results)))
    shown = any(each.verdict != NOT_EXPOSED for each in results)
    return shown and not bad and not controls_not_caught(results)
