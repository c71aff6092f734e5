"""The search: it agrees with the versioned check, meets its limit honestly, and forgets at quiescent points."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.linearizability.call import ObjectCalls, unversioned_calls, versioned_calls
from stockade.lab.checkers.linearizability.models import register
from stockade.lab.checkers.linearizability.search import Search, Verdict
from stockade.lab.checkers.rows import linearizable, real_time
from tests.lab.checkers.random_calls import random_register, shuffled_versions
from tests.lab.checkers.small_histories import call, calls


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_search_and_the_versioned_check_agree(seed):
    """What sorting says in linear time, the search says too, of histories that may be right or wrong."""
    history = IndexedHistory(shuffled_versions(seed))
    (of_row,) = versioned_calls(history)
    found = Search(of_row, register).run()
    assert (found.verdict is Verdict.OK) == (not list(real_time.check(history)))


def test_the_agreement_is_about_both_verdicts():
    """Among the histories above are right and wrong ones."""
    verdicts = {bool(list(real_time.check(IndexedHistory(shuffled_versions(seed))))) for seed in range(50)}
    assert verdicts == {True, False}


def test_the_limit_is_undecided_and_never_ok(monkeypatch):
    """A search that gives up reports it as a violation."""
    history = calls(*(call("write", at, 1, 9, str(at)) for at in range(12)), call("read", 99, 10, 11, result="none"))
    (of_register,) = unversioned_calls(IndexedHistory(history))
    assert Search(of_register, register, max_steps=100).run().verdict is Verdict.UNDECIDED
    assert Search(of_register, register).run().verdict is Verdict.VIOLATION
    monkeypatch.setattr("stockade.lab.checkers.rows.linearizable.Search", lambda *given: Search(*given, max_steps=100))
    (found,) = linearizable.check(IndexedHistory(history))
    assert "undecided" in found.detail


def test_what_was_before_a_quiescent_point_is_forgotten():
    """A long history that is quiet now and then takes as many steps as its pieces together."""
    piece = [("write", "a", 1, 4), ("write", "b", 2, 5), ("read", "", 3, 6)]
    found = []
    for turn in range(300):
        for client, (kind, value, begin, end) in enumerate(piece):
            result = "b" if kind == "read" else ""
            found.append(call(kind, client, 10 * turn + begin, 10 * turn + end, value, result))
    (of_register,) = unversioned_calls(IndexedHistory(calls(*found)))
    once = Search(ObjectCalls("x", "", of_register.calls[:3]), register).run()
    assert Search(of_register, register).run().steps <= 300 * 2 * once.steps


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_an_unknown_call_never_makes_a_right_history_wrong(seed):
    """A write that may not have happened at all explains what was right without it."""
    (of_register,) = unversioned_calls(IndexedHistory(random_register(seed)))
    if Search(of_register, register).run().verdict is Verdict.OK:
        more = of_register.calls[0]._replace(number=999, known=False, argument="z", return_ns=2**63 - 1)
        assert Search(of_register._replace(calls=[more, *of_register.calls]), register).run().verdict is Verdict.OK
