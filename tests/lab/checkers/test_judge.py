"""Right histories pass every checker."""

import pytest

from stockade.lab.checkers import judge
from stockade.lab.history.final_state import FinalRow, LedgerLine, LogRecord, RecordedRequest
from stockade.lab.history.operation import REFUSED
from tests.lab.checkers.good_histories import good
from tests.lab.checkers.small_histories import FINAL, KEY, OPERATIONS, A, B, line, operation, small


@pytest.mark.parametrize("seed", range(30))
def test_right_histories_pass(seed):
    """What a right system could have made has no violation."""
    assert judge(good(seed)) == []


def test_an_order_that_was_not_there_yet_may_be_seen_so():
    """Cancelled before its placing was repeated: the refusal saw no row; the ledger has nothing of the insertion."""
    order = f"order:{A}"
    entry = LedgerLine(order, 2, B, 0, 0, 0, 0)
    early = operation("request-d", 0, 1, REFUSED, command="cancel_order", keys=(order,), code="ORDER_NOT_FOUND")
    early = early._replace(versions={order: 0}, deltas={}, number=90)
    history = small(
        [early, *OPERATIONS],
        initial={KEY: 2, order: 0},
        rows=(*FINAL.rows, FinalRow(order, 0, 0, 2)),
        ledger=(*FINAL.ledger, entry),
        requests=(*FINAL.requests, RecordedRequest("request-d", "content of request-d", False, "X", early.answer)),
    )
    assert [each for each in judge(history) if each.rule == "version-chain"] == []
    wrong = small(
        [early._replace(versions={order: 3}), *OPERATIONS], initial={KEY: 2, order: 0}, ledger=(*FINAL.ledger, entry)
    )
    assert [each.rule for each in judge(wrong) if "saw version 3" in each.detail] == ["version-chain"]


def test_a_command_that_changes_a_row_it_does_not_name_is_decided_behind_its_batch():
    """Its place in the log says nothing, on the rows that it names neither; a command that names all is held to it."""
    log = (LogRecord(0, 2, A), LogRecord(0, 1, B))
    ledger = (*FINAL.ledger, line(A, 2, 1, key="stock:2"))
    first, *others = OPERATIONS
    unnamed = small(log=log, ledger=ledger)
    named = small([first._replace(keys=(KEY, "stock:2")), *others], log=log, ledger=ledger)
    assert [sum(each.rule == "log-order" for each in judge(history)) for history in (unnamed, named)] == [0, 1]
