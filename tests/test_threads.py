"""Threads of tests are seen to fail and to hang."""

import threading

import pytest

from tests.threads import Running


def test_what_a_body_raises_is_raised_where_its_end_is_waited_for():
    """And what it returns is returned there."""
    assert Running(divmod, 7, 2).result() == (3, 1)
    with pytest.raises(ZeroDivisionError):
        Running(divmod, 7, 0).result()


def test_a_body_that_hangs_fails_its_test():
    """It is not waited for without a bound."""
    ended = threading.Event()
    with pytest.raises(AssertionError, match=r"has not ended within 0\.01 s"):
        Running(ended.wait, 30).result(0.01)
    ended.set()
