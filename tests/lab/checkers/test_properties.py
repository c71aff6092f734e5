"""Properties: right histories pass every checker, and each mutation of one is caught by the checker that it names."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockade.lab.checkers import judge
from stockade.lab.history.final_state import Delivery
from stockade.lab.history.operation import OK, REFUSED
from tests.lab.checkers.good_histories import good

KEYS = {"stock:1": 12, "stock:2": 1000, "points:a": 1000}
EXAMPLES = settings(max_examples=60, deadline=None)
FEW = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**32)


@EXAMPLES
@given(seed=seeds, requests=st.integers(5, 60), reads=st.floats(0, 1), log_partitions=st.integers(0, 3))
def test_right_histories_pass(seed, requests, reads, log_partitions):
    """What a right system could have made has no violation, however its operations overlap."""
    assert judge(good(seed, requests=requests, reads=reads, log_partitions=log_partitions, keys=KEYS)) == []


def final(history, **changes):
    """The history with another final state."""
    return replace(history, final=replace(history.final, **changes))


def without(values, pick):
    """All but one; which one is drawn."""
    at = pick % len(values)
    return (*values[:at], *values[at + 1 :])


def drop_an_update(history, pick):
    """An entry of the ledger is gone."""
    return final(history, ledger=without(history.final.ledger, pick))


def overwrite_an_update(history, pick):
    """An update is lost without a trace: the ledger goes on as if it had not been."""
    key = history.final.ledger[pick % len(history.final.ledger)].key
    lines = [each for each in history.final.ledger if each.key == key]
    lost = lines[pick % len(lines)].version
    after = [
        each._replace(version=each.version - 1, amount_after=each.amount_after + 1) if each.version > lost else each
        for each in lines
        if each.version != lost
    ]
    rows = [
        each._replace(version=each.version - 1, amount=each.amount + 1) if each.key == key else each
        for each in history.final.rows
    ]
    others = [each for each in history.final.ledger if each.key != key]
    return final(history, ledger=(*after, *others), rows=tuple(rows))


def swap_two_versions(history, pick):
    """Two requests have each other's version of a row."""
    ledger = list(history.final.ledger)
    at = pick % len(ledger)
    same = [place for place, each in enumerate(ledger) if each.key == ledger[at].key and place != at]
    if not same:
        return None
    other = same[pick % len(same)]
    first, second = ledger[at], ledger[other]
    ledger[at], ledger[other] = (
        first._replace(request_id=second.request_id),
        second._replace(request_id=first.request_id),
    )
    return final(history, ledger=tuple(ledger))


def duplicate_an_update(history, pick):
    """A request moved a row twice."""
    key = history.final.ledger[pick % len(history.final.ledger)].key
    last = max(each for each in history.final.ledger if each.key == key)
    again = last._replace(version=last.version + 1, amount_after=last.amount_after - 1)
    return final(history, ledger=(*history.final.ledger, again))


def forget_a_request(history, pick):
    """What was decided is not recorded."""
    told = {each.request_id for each in history.operations if each.type in (OK, REFUSED)}
    found = [each for each in history.final.requests if each.request_id in told]
    gone = found[pick % len(found)]
    return final(history, requests=tuple(each for each in history.final.requests if each != gone))


def change_an_answer(history, pick):
    """Another answer is recorded than the caller got."""
    told = {each.request_id for each in history.operations if each.type in (OK, REFUSED)}
    at = [place for place, each in enumerate(history.final.requests) if each.request_id in told]
    requests = list(history.final.requests)
    chosen = at[pick % len(at)]
    requests[chosen] = requests[chosen]._replace(answer="other")
    return final(history, requests=tuple(requests))


def lose_a_unit(history, pick):
    """A row has one less than there must be."""
    stock = [each for each in history.final.rows if each.key.startswith("stock:")]
    bad = stock[pick % len(stock)]
    rows = [each._replace(amount=each.amount - 1) if each == bad else each for each in history.final.rows]
    return final(history, rows=tuple(rows))


def invent_points(history, pick):
    """An account has more than there must be."""
    rows = [
        each._replace(amount=each.amount + 1 + pick % 9) if each.key == "points:a" else each
        for each in history.final.rows
    ]
    return final(history, rows=tuple(rows))


def lower_the_stock(history, pick):
    """There was less at first than was given away."""
    key = history.final.ledger[pick % len(history.final.ledger)].key
    given = sum(1 for each in history.final.ledger if each.key == key)
    return final(history, initial={**history.final.initial, key: given - 1})


def read_the_past(history, pick):
    """A read after everything sees a version that is over."""
    row = history.final.rows[pick % len(history.final.rows)]
    if row.version < 3:
        return None
    at = history.phases.final_ns + 1
    old = history.operations[0]._replace(
        command="read", request_id="", keys=(row.key,), type=OK, versions={row.key: row.version - 1}, deltas={}
    )
    writer = next(
        (each for each in history.operations if each.type == OK and each.versions.get(row.key) == row.version), None
    )
    if writer is None:
        return None  # its writer was never answered, so it may have been written just now
    late = old._replace(number=len(history.operations), invoke_ns=at, return_ns=at + 1)
    return replace(history, operations=(*history.operations, late))


def lose_an_event(history, pick):
    """The sink never received an event."""
    return final(history, deliveries=without(history.final.deliveries, pick))


def invent_an_event(history, pick):
    """The sink received an event that nobody wrote."""
    return final(history, deliveries=(*history.final.deliveries, Delivery(f"nobody-{pick}", "stock:1", 10**6)))


def swap_two_records(history, pick):
    """Two commands that changed one row stand the other way round in the log."""
    lines = [
        each for each in history.final.ledger if each.key == history.final.ledger[pick % len(history.final.ledger)].key
    ]
    if len(lines) < 2:
        return None
    first, second = lines[0].request_id, lines[1].request_id
    swapped = {first: second, second: first}
    log = tuple(each._replace(request_id=swapped.get(each.request_id, each.request_id)) for each in history.final.log)
    return final(history, log=log)


MUTATIONS = {
    drop_an_update: "version-chain",
    overwrite_an_update: "stock-conserved points-conserved",
    swap_two_versions: "version-chain",
    duplicate_an_update: "exactly-once",
    forget_a_request: "exactly-once",
    change_an_answer: "same-answer",
    lose_a_unit: "stock-conserved",
    invent_points: "points-conserved",
    lower_the_stock: "no-oversell",
    read_the_past: "real-time",
    lose_an_event: "events",
    invent_an_event: "events",
    swap_two_records: "log-order",
}


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
@FEW
@given(seed=seeds, pick=st.integers(0, 10**6))
def test_a_mutation_is_caught(mutate, seed, pick):
    """One change makes a right history wrong, and the checker that is there for it says so."""
    changed = mutate(good(seed, requests=30, keys=KEYS, log_partitions=1), pick)
    if changed is None:
        return  # this history is too short for this mutation
    assert {each.rule for each in judge(changed)} & {*MUTATIONS[mutate].split()}
