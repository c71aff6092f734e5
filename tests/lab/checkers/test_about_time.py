"""Which violations a busy machine could explain: those of a right strategy that was slow, and no others."""

import pytest

from stockade.lab.checkers import judge
from tests.lab.checkers.changed_histories import FIRST, SILENT, tried
from tests.lab.checkers.small_histories import MS
from tests.lab.checkers.wrong_histories import WRONG

ONLY_SLOW = {
    "a task too many",
    "a file with each request",
    "a queue that nobody counted",
    "an unknown outcome long after its deadline",
    "an answer long after its deadline",
    "later than the machine was",
    "late while its process made another one wait for a processor",
    "late while the database was away",
    "late in a process beside one that was stopped",
    "late under a fault that stops no process",
    "an unknown outcome that the service tells late, while the database was away",
    "one decision, and nothing but busy",
    "busy again after the healing",
    "the rate does not come back",
    "the rate comes back for a moment",
    "only reads come back",
    "nothing was decided before the faults",
    "the load ended with the fault",
    "one client starves",
}


@pytest.mark.parametrize("what", WRONG)
def test_only_what_was_slow_is_about_time(what):
    """A lock that stays, a queue above its bound, a request that is never decided or answered are not."""
    rule, history = WRONG[what]
    found = {each.about_time for each in judge(history) if each.rule == rule}
    assert found == {what in ONLY_SLOW}


def test_no_answer_is_about_time_if_the_machine_was_late_for_most_of_it():
    """A client gives up three seconds after the deadline; one whose machine stood still meanwhile proves nothing."""
    answers = [{**SILENT, "return_ns": 100 * MS}]
    of_lab = [([machine_ms * MS], machine_ms > 50) for machine_ms in (0, 40, 60)]
    of_processes = [([0, {process: 60 * MS}], process == FIRST.process) for process in (FIRST.process, "service-0")]
    for late, about_time in (*of_lab, *of_processes):
        history = tried(*answers, share=0, extra={"late": [[0, 100 * MS, *late]]})
        (found,) = [each for each in judge(history) if each.rule == "served"]
        assert found.about_time is about_time
