"""An outage of the database is two lines in the log, however many orders it refuses."""

import json

import pytest

from stockade.core import Busy, Conflict
from stockade.locks import LockUnavailable
from stockade.shop.config.settings import Settings
from stockade.shop.operations import logs
from stockade.shop.operations.outage_log import QUIET_S, OutageLog

AWAY = Busy("the database refuses this: permission denied", "DEPENDENCY_DOWN")


class Clock:
    """A clock that a test moves."""

    now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def lines(capsys):
    """Function: the lines that were logged since the last call."""
    logs.configure(Settings())
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_outage_is_a_line_at_its_begin_and_one_at_its_end(lines):
    """Many refusals are one line; the first success afterwards is another, with their number."""
    clock = Clock()
    log = OutageLog(clock)
    for _ in range(3):
        log.failed("place_order", AWAY)
        log.succeeded("charge_points")
        clock.now_s += 1
    (begin,) = lines()
    assert (begin["level"], begin["operation"], begin["error"]) == ("warning", "place_order", str(AWAY))
    for _ in range(2):
        log.succeeded("place_order")
    (end,) = lines()
    assert (end["operation"], end["refused"], end["outage_s"]) == ("place_order", 3, 2.0)


def test_a_database_that_flaps_fills_no_log(lines):
    """Successes between refusals do not end an outage; a pause without a refusal does."""
    clock = Clock()
    log = OutageLog(clock)
    for _ in range(10):
        log.failed("read", AWAY)
        log.succeeded("read")
    assert len(lines()) == 1
    clock.now_s += QUIET_S
    log.succeeded("read")
    assert len(lines()) == 1


def test_what_is_no_outage_of_the_database_is_not_logged(lines):
    """A queue that is full and a lost race are no outage; one of the lock servers is logged by their own watch."""
    by_locks = Busy("the lock server cannot be used", "DEPENDENCY_DOWN")
    by_locks.__cause__ = LockUnavailable("away")
    for error in (Busy("full", "TOO_MANY_REQUESTS"), Conflict("lost"), by_locks):
        OutageLog().failed("place_order", error)
    assert not lines()
