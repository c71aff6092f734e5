"""The pool of sessions, over a stand-in of a database: errors that no server gives when a test wants them."""

import time

import pytest

from stockade.locks.database import pool as module
from stockade.locks.database.pool import SessionPool
from tests.waiting import eventually_async


class Dialect:
    """Connects and purges tokens, or raises what a test says."""

    kind, given = "mysql", False

    def __init__(self, connecting=None, purging=None):
        self.connecting, self.purging, self.purges = connecting, purging, 0

    async def connect(self, ended, timeout_s):
        if self.connecting is not None:
            raise self.connecting
        return object()

    def number(self, connection):
        return 1

    def transport(self, connection):
        return None

    def gone(self, connection):
        return False

    def must_purge_tokens(self):
        return self.purges < 3

    async def purge_tokens(self, connection):
        self.purges += 1
        if self.purging is not None:
            raise self.purging

    def abort(self, connection):
        """Nothing to abort."""


async def connected(dialect):
    """A pool with one session."""
    pool = SessionPool(dialect, 2, 5.0, lambda owners, reason: None)
    try:
        await pool.shared_session(time.monotonic() + 5)
    except BaseException:
        await pool.close()
        raise
    return pool


@pytest.mark.parametrize("error", [RuntimeError("no room for the deletion"), None], ids=["fails", "control"])
async def test_tokens_that_cannot_be_purged_are_logged(error, monkeypatch, caplog):
    """No caller waits for the purge of old fencing tokens: each failure is a line of the log."""
    monkeypatch.setattr(module, "_CHECK_S", 0.001)
    dialect = Dialect(purging=error)
    pool = await connected(dialect)

    async def all_done():
        return dialect.purges == 3 and not any(each.pending for each in pool.sessions)

    await eventually_async(all_done)
    await pool.close()
    told = [each for each in caplog.messages if "no room for the deletion" in each]
    assert len(told) == (3 if error else 0)


async def test_an_unknown_error_is_not_its_own_cause():
    """What stands for nothing else is raised as it is: who follows the causes of an error comes to an end."""
    error = KeyError("a defect of a driver")
    with pytest.raises(KeyError) as raised:
        await connected(Dialect(connecting=error))
    assert raised.value is error
    assert error.__cause__ is None
