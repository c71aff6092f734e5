"""Negative controls: each checker finds nothing in the smallest right history, and the defect that it is there for.

Each defect is one change of that history, so it is the smallest that shows it.
"""

import pytest

from stockade.lab.checkers import CHECKERS, judge
from stockade.lab.history.final_state import Leftovers, LogRecord
from stockade.lab.history.operation import FAILED, REFUSED, UNKNOWN
from tests.lab.checkers.changed_histories import (
    BUSY,
    FIRST,
    OTHER,
    SECOND,
    SILENT,
    TAKES,
    THIRD,
    in_log,
    order_step,
    queue,
    steady,
    suspended,
    tried,
)
from tests.lab.checkers.small_histories import (
    KEY,
    MS,
    OPERATIONS,
    A,
    B,
    C,
    access,
    call,
    calls,
    fault,
    operation,
    refused,
    small,
)
from tests.lab.checkers.wrong_histories import WRONG


def test_the_smallest_right_history_has_no_violation():
    """What the defects below change is right."""
    assert judge(small()) == []


@pytest.mark.parametrize("what", WRONG)
def test_the_checker_notices(what):
    """The checker that the defect is there for finds it and says in words where."""
    rule, history = WRONG[what]
    found = [each for each in judge(history) if each.rule == rule]
    assert found, judge(history)
    assert all(each.detail for each in found)


def test_every_checker_has_a_defect():
    """No checker has never failed."""
    assert CHECKERS.keys() == {rule for rule, _ in WRONG.values()}


RIGHT = {
    "an unknown one that happened": small([FIRST._replace(type=UNKNOWN, versions={}), SECOND, THIRD]),
    "an unknown one that did not": small([*OPERATIONS, operation("request-d", 7, 8, UNKNOWN)]),
    "other content, refused": small(
        [*OPERATIONS, FIRST._replace(number=7, type=FAILED, fingerprint="x", code="IDEMPOTENCY_KEY_REUSED")]
    ),
    "a late write that the resource refused": small(accesses=(access(1, 2, 1), access(2, 1, 2, applied=False))),
    "a read by a token that is over": small(accesses=(access(1, 2, 1), access(2, 1, 2, "read"))),
    "an unknown lock that was taken": calls(
        call("acquire", 1, 1, 2, type_=UNKNOWN),
        call("acquire", 2, 3, 4, type_=REFUSED),
        call("release", 1, 5, 6),
        call("acquire", 2, 7, 8),
    ),
    "an unknown lock that was not": calls(call("acquire", 1, 1, 2, type_=UNKNOWN), call("acquire", 2, 3, 4)),
    "two that meet at one moment": calls(call("write", 1, 1, 2, "a"), call("read", 2, 2, 3, result="")),
    "the rate comes back": steady(),
    "busy while there was too much": tried(
        BUSY, fault_log=(fault(0, "overload", "inject"), fault(2, "overload", "heal"))
    ),
    "busy now and then": tried(BUSY, share=0.05),
    "no answer while the link was cut": tried(
        SILENT, fault_log=(fault(0, "blackhole", "inject"), fault(2, "blackhole", "heal"))
    ),
    "failed, decided, and answered again": small(
        [
            FIRST._replace(number=0, type=FAILED, code="BUSY", versions={}),
            *OPERATIONS,
            FIRST._replace(number=7, replayed=True),
        ]
    ),
    "failed, and the next try found what its own lost commit had recorded": small(
        [
            FIRST._replace(number=0, invoke_ns=0, return_ns=MS, type=FAILED, code="BUSY", versions={}),
            FIRST._replace(replayed=True, in_doubt=True),
            *OPERATIONS[1:],
            FIRST._replace(number=7, invoke_ns=7 * MS, return_ns=8 * MS, replayed=True),
        ]
    ),
    "failed, and the next try had no answer": small(
        [
            FIRST._replace(number=0, invoke_ns=0, return_ns=MS, type=FAILED, code="BUSY", versions={}),
            FIRST._replace(type=UNKNOWN, versions={}),
            *OPERATIONS[1:],
            FIRST._replace(number=7, invoke_ns=7 * MS, return_ns=8 * MS, replayed=True),
        ]
    ),
    "unknown, and recorded before the next try": small(
        [FIRST._replace(number=0, type=UNKNOWN, versions={}), FIRST._replace(replayed=True), *OPERATIONS[1:]]
    ),
    "recorded before the log was read again": in_log(
        LogRecord(0, 0, A),
        LogRecord(0, 1, B),
        ends=[(0, 0, 2)],
        operations=[
            FIRST._replace(number=0, type=FAILED, code="BUSY", versions={}),
            FIRST._replace(replayed=True),
            *OPERATIONS[1:],
        ],
    ),
    "a reservation refused because the rest is held": small(
        [FIRST, SECOND, refused(C, 5, 6, versions={KEY: 3}, deltas={}, **TAKES)]
    ),
    "a cancelled order that cannot be cancelled": order_step("cancel_order", 2, ("PAID", "CANCELLED")),
    "a long wait among long waits": queue(200),
    "a long wait at a row of its own": queue(400, key=OTHER),
    "a long wait on a busy machine": queue(400, machine_ms=300),
    "a pool that has grown": small(leftovers=Leftovers({"files": 9}, {"files": 20}, may_grow={"files": 20})),
    "late by a busy machine": small(
        [FIRST, SECOND, THIRD._replace(deadline_ns=10 * MS, return_ns=611 * MS)],
        extra={"late": [[0, 400 * MS, 200 * MS]]},
    ),
    "late as its process waited for a processor": small(
        [FIRST, SECOND, THIRD._replace(deadline_ns=10 * MS, return_ns=611 * MS)],
        extra={"late": [[0, 400 * MS, 100 * MS, {"service-0": 10 * MS, "service-1": 100 * MS}]]},
    ),
    "a record that stands in the log twice": small(log=(LogRecord(0, 1, A), LogRecord(0, 2, B), LogRecord(0, 3, A))),
    "decided behind its batch, as it does not name the row": small(
        [FIRST._replace(command="pay_order", keys=("order:1",)), SECOND, THIRD],
        log=(LogRecord(0, 2, A), LogRecord(0, 1, B)),
    ),
    "late in a stopped process": small(
        [FIRST, SECOND, THIRD._replace(deadline_ns=10 * MS, return_ns=511 * MS)],
        fault_log=suspended("service-1"),
    ),
    "late, where a fault that found no key may have stopped any process": small(
        [FIRST, SECOND, THIRD._replace(deadline_ns=10 * MS, return_ns=511 * MS)],
        fault_log=tuple(each._replace(hit=()) for each in suspended("service-1")),
    ),
}


@pytest.mark.parametrize("what", RIGHT)
def test_no_checker_complains_without_reason(what):
    """What looks strange and is allowed passes."""
    assert judge(RIGHT[what]) == []


def test_ties_in_time_are_concurrent():
    """Two operations that touch at one moment may have been in either order."""
    touching = [FIRST._replace(invoke_ns=4 * MS, return_ns=5 * MS), SECOND, THIRD]
    assert judge(small(touching)) == []


def test_what_a_checker_reports_is_bounded():
    """A history that is wrong everywhere does not make a report that nobody reads."""
    many = [operation(f"request-{at}", 10 + at, 11 + at) for at in range(500)]
    assert len(judge(small([*OPERATIONS, *many]))) <= 20 * len(CHECKERS)
