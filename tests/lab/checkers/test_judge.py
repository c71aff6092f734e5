"""Right histories pass every checker."""

import pytest

from stockade.lab.checkers import judge
from stockade.lab.history.final_state import Delivery, FinalRow, LedgerLine, LogRecord, OutboxLine, RecordedRequest
from stockade.lab.history.operation import FAILED, REFUSED, UNKNOWN
from tests.lab.checkers.good_histories import good
from tests.lab.checkers.small_histories import FINAL, KEY, MS, OPERATIONS, A, B, C, line, operation, recorded, small


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


def test_a_change_of_which_nobody_had_the_answer_is_not_added_up():
    """A cancel that its process did not live to answer: the ledger alone says what it gave back. A loss is seen."""
    unknown = operation("request-d", 7, 8, UNKNOWN, command="cancel_order", keys=(f"order:{A}",), deltas={}, answer="")
    ledger, rows = (*FINAL.ledger, line("request-d", 4, 1, delta=1)), (FinalRow(KEY, 1, 0, 4),)
    requests = (*FINAL.requests, recorded("request-d"))
    cancelled = small([*OPERATIONS, unknown], ledger=ledger, rows=rows, requests=requests)
    lost = small([*OPERATIONS, unknown], ledger=ledger, rows=(FinalRow(KEY, 0, 0, 4),), requests=requests)
    assert [sum(each.rule == "stock-conserved" for each in judge(history)) for history in (cancelled, lost)] == [0, 1]


def test_a_command_that_changes_a_row_it_does_not_name_is_decided_behind_its_batch():
    """Its place in the log says nothing, on the rows that it names neither; a command that names all is held to it."""
    log = (LogRecord(0, 2, A), LogRecord(0, 1, B))
    ledger = (*FINAL.ledger, line(A, 2, 1, key="stock:2"))
    first, *others = OPERATIONS
    unnamed = small(log=log, ledger=ledger)
    named = small([first._replace(keys=(KEY, "stock:2")), *others], log=log, ledger=ledger)
    assert [sum(each.rule == "log-order" for each in judge(history)) for history in (unnamed, named)] == [0, 1]


def test_the_event_of_a_refusal_has_no_place_among_those_of_changes():
    """Its number may be before those of a change that is committed after it; the events of changes keep their order."""
    refusal = OutboxLine("c:0", C, "order.rejected", KEY, 2)
    early = (FINAL.deliveries[0], Delivery("c:0", KEY, 2), *FINAL.deliveries[1:])
    history = small(outbox=(*FINAL.outbox, refusal), deliveries=early)
    assert [each for each in judge(history) if each.rule == "events"] == []
    accepted = small(
        outbox=(*FINAL.outbox, refusal), deliveries=early, requests=(*FINAL.requests[:2], recorded(C, accepted=True))
    )
    assert "events" in {each.rule for each in judge(accepted)}


@pytest.mark.parametrize(("code", "found"), [("PROCESS_AWAY", False), ("BUSY", True)])
def test_a_try_that_reached_no_process_cannot_have_lied(code, found):
    """A service that resolves its own lost commit answers with what is recorded, as a replay of its own try."""
    first, *others = OPERATIONS
    away = first._replace(
        number=0, invoke_ns=0, return_ns=MS, type=FAILED, code=code, versions={}, deltas={}, answer=""
    )
    history = small([away, first._replace(replayed=True), *others])
    assert any("its decision was recorded" in each.detail for each in judge(history)) is found
