"""What a process says when its guard cannot be registered in time."""

from unittest.mock import Mock

import pytest

from stockade.core import Busy
from stockade.store.guards_in_use import Use
from stockade.store.registration import Registration


class Silent:
    """Guards of a database that gives no answer: each registration is given up."""

    def __init__(self, code, cause):
        self._error = Busy("given up", code)
        self._error.__cause__ = cause

    async def register(self, id_, use, process):
        """See `GuardsInUse`."""
        raise self._error

    async def remove(self, id_):
        """See `GuardsInUse`."""


@pytest.mark.parametrize(
    ("code", "cause", "asks"),
    [
        ("LOCK_TIMEOUT", TimeoutError(), True),
        ("LOCK_TIMEOUT", None, False),
        ("POOL_EXHAUSTED", TimeoutError(), False),
        ("DEPENDENCY_DOWN", OSError("refused"), False),
    ],
)
async def test_one_that_was_given_up_in_the_middle_asks_for_the_open_transaction(code, cause, asks):
    """The database has not said what it waited for; where somebody has, nothing is added (control)."""
    mine = Registration(Mock())
    mine._guards = Silent(code, cause)
    with pytest.raises(Busy, match="the guard cannot be registered: given up") as refused:
        await mine.open(Use("pessimistic", "row lock", "row lock"), unguarded=False)
    assert ("is a transaction of another process still open on this database?" in str(refused.value)) == asks
    assert refused.value.code == code
