"""What is expected of a cell, its verdict, and the matrix of all."""

import dataclasses

import pytest

from stockade.lab.checkers import CHECKERS, DATA_RULES
from stockade.lab.checkers.violation import Violation
from stockade.lab.model.contender import Contender
from stockade.lab.recording.fault import Fault
from stockade.lab.ring import expectation
from stockade.lab.ring.cell import Cell, CellResult
from stockade.lab.ring.expectation import (
    AS_CLAIMED,
    BROKEN_AS_CLAIMED,
    FAILED,
    HELD,
    LATE,
    MAY_BREAK,
    MUST_BREAK,
    NOT_CAUGHT,
    NOT_EXPOSED,
    VIOLATED,
)
from stockade.lab.ring.matrix import NotRun, matrix_of, text_table


async def _nothing(disturbed): ...


EVERYBODY = Fault("database-kill", "", _nothing, _nothing)
CRASH = dataclasses.replace(EVERYBODY, name="crash", covered_by=("crash",))
FAILOVER = dataclasses.replace(EVERYBODY, name="failover", covered_by=("failover",), must_fail=("bare",))


@pytest.mark.parametrize(
    ("name", "faults", "shares_rows", "claimed"),
    [
        ("pessimistic", (), False, HELD),
        ("pessimistic", (EVERYBODY, CRASH), False, HELD),
        ("pessimistic", (EVERYBODY, FAILOVER), False, MAY_BREAK),
        ("pessimistic", (), True, HELD),
        ("redis-pubsub", (FAILOVER,), True, HELD),
        ("redis-pubsub:fence", (FAILOVER,), True, HELD),
        ("redis-pubsub:bare", (FAILOVER,), True, MUST_BREAK),
        ("redis-pubsub:bare", (CRASH, FAILOVER), True, MUST_BREAK),
        ("redis-pubsub:bare", (FAILOVER,), False, MAY_BREAK),
        ("redis-pubsub:bare", (EVERYBODY,), True, MAY_BREAK),
        ("redis-pubsub:bare", (CRASH,), True, HELD),
        ("redis-pubsub:bare", (), True, HELD),
        ("unprotected", (), True, MUST_BREAK),
        ("unprotected", (CRASH,), True, MUST_BREAK),
        ("unprotected", (CRASH,), False, MAY_BREAK),
        ("in-process", (), True, MUST_BREAK),
        ("in-process", (CRASH,), True, MAY_BREAK),
    ],
)
def test_what_a_contender_claims(name, faults, shares_rows, claimed):
    """Guarded strategies claim their faults and those of everybody; a bare lock its crash; a control that it breaks."""
    contender = Contender.parse(name)
    control = expectation.is_control(contender, faults, "postgres", shares_rows=shares_rows)
    assert expectation.expected(contender, faults, control=control) == claimed


def test_what_a_control_needs_to_be_caught():
    """A bare lock a server, as SQLite has one writer at a time; a mutex of one process a second process."""
    bare, mutex = Contender.parse("redis-pubsub:bare"), Contender.parse("in-process")
    assert not expectation.is_control(bare, (FAILOVER,), "sqlite", shares_rows=True)
    assert not expectation.is_control(mutex, (), "postgres", shares_rows=True, processes=1)
    assert expectation.expected(mutex, (), control=False, processes=1) == HELD


SLOW = Violation("liveness", "", about_time=True)
LEFT = Violation("nothing-left", "")
LOST = Violation("version-chain", "")


@pytest.mark.parametrize(
    ("claimed", "violations", "verdict"),
    [
        (HELD, [], AS_CLAIMED),
        (HELD, [LOST], VIOLATED),
        (HELD, [LEFT], VIOLATED),
        (HELD, [SLOW], LATE),
        (HELD, [SLOW, LEFT], VIOLATED),
        (MUST_BREAK, [], NOT_CAUGHT),
        (MUST_BREAK, [SLOW, LEFT, Violation("unexpected", "")], NOT_CAUGHT),
        (MUST_BREAK, [SLOW, LOST], BROKEN_AS_CLAIMED),
        (MUST_BREAK, [Violation("complete", "")], BROKEN_AS_CLAIMED),
        (MAY_BREAK, [], AS_CLAIMED),
        (MAY_BREAK, [SLOW, LEFT], AS_CLAIMED),
        (MAY_BREAK, [SLOW, LOST], BROKEN_AS_CLAIMED),
    ],
)
def test_verdicts(claimed, violations, verdict):
    """Claimed against observed; a control is caught by what happened to data, and not by being slow."""
    assert expectation.verdict(claimed, violations) == verdict


@pytest.mark.parametrize(
    ("claimed", "violations", "verdict"),
    [
        (HELD, [], NOT_EXPOSED),
        (HELD, [SLOW], LATE),
        (HELD, [LOST], VIOLATED),
        (MUST_BREAK, [LOST], NOT_EXPOSED),
        (MAY_BREAK, [LOST], NOT_EXPOSED),
    ],
)
def test_verdicts_without_exposure(claimed, violations, verdict):
    """Nothing follows where a fault did not act, but that a claim was broken."""
    assert expectation.verdict(claimed, violations, exposed=False) == verdict


def test_every_rule_is_about_data_or_not():
    """One set for rings, recordings and reports: what was lost or wrong, against what was slow, left or printed."""
    assert CHECKERS.keys() - DATA_RULES == {"nothing-left", "served", "in-time", "liveness", "unexpected"}
    assert {"complete", "right-refusal", "log-order", "events"} < DATA_RULES < CHECKERS.keys()


def result(contender, faults, expected, verdict, database="postgres"):
    """The result of a cell."""
    return CellResult(Cell(database, contender, faults, "hot"), 1, expected, verdict)


GOOD = result("pessimistic", ("crash", "latency"), HELD, AS_CLAIMED)
CAUGHT = result("unprotected", (), MUST_BREAK, BROKEN_AS_CLAIMED)
MISSED = result("unprotected", (), MUST_BREAK, NOT_CAUGHT, "mariadb")
BAD = result("pessimistic", ("latency",), HELD, VIOLATED)


@pytest.mark.parametrize(
    ("results", "kept"),
    [
        ([GOOD, CAUGHT], True),
        ([GOOD, CAUGHT, MISSED], False),  # it was caught on another database
        ([GOOD, CAUGHT, MISSED, result("unprotected", (), MUST_BREAK, BROKEN_AS_CLAIMED, "mariadb")], True),
        ([GOOD, MISSED, result("unprotected", (), MAY_BREAK, BROKEN_AS_CLAIMED, "mariadb")], False),
        ([GOOD, CAUGHT, result("optimistic", (), HELD, LATE)], False),
        ([], False),
        ([GOOD, MISSED], False),
        ([GOOD, CAUGHT, BAD], False),
        ([GOOD, CAUGHT, result("optimistic", (), HELD, FAILED)], False),
    ],
)
def test_a_ring_fails_for_a_violation_a_missed_control_and_a_cell_without_a_recording(results, kept):
    """Also for one that is late, and without any cell; one cell of a control on each of its databases is enough."""
    assert expectation.kept(results) is kept


def test_the_matrix_shows_the_worst_verdict_of_each_pair():
    """Two cells with one pair: the worse one; pairs that cannot be have their reason."""
    matrix = matrix_of(
        [GOOD, CAUGHT, BAD],
        ["unprotected", "pessimistic", "kafka"],
        ["crash", "latency", "failover"],
        [NotRun("pessimistic", "failover", "takes no lock in Redis"), NotRun("kafka", "crash", "left out")],
    )
    assert matrix.contenders == ("unprotected", "pessimistic")
    assert matrix.faults == ("no-fault", "crash", "latency")
    lines = text_table(matrix, 80)
    assert lines[:4] == [
        "fault     unprotected  pessimistic",
        "no-fault  caught       -",
        "crash     -            ok",
        "latency   -            VIOLATED",
    ]
    assert lines[-1] == "not run: failover with pessimistic: takes no lock in Redis"


def test_a_short_name_has_its_verdicts():
    """A column is as wide as the widest mark; who has a shorter name is looked up by the name all the same."""
    matrix = matrix_of([result("kafka", ("crash",), HELD, VIOLATED)], ["kafka"], ["crash"])
    assert text_table(matrix, 80)[:2] == ["fault  kafka", "crash  VIOLATED"]


def test_a_narrow_terminal_gets_the_matrix_in_pieces():
    """No line is wider than there is room, whatever the number of contenders."""
    names = [f"contender-{number}" for number in range(12)]
    matrix = matrix_of([result(name, ("crash",), HELD, AS_CLAIMED) for name in names], names, ["crash"])
    lines = text_table(matrix, 60)
    assert all(len(line) <= 60 for line in lines[:-2])
    assert all(any(name in line for line in lines) for name in names)
