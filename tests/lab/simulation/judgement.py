"""What is wrong with a simulated history."""

from stockade.lab.checkers import judge
from stockade.lab.checkers.violation import Violation

LOG_DECIDED = "log-decided"  # a rule of the simulator: every command of the log has an outcome when the log is drained


def violations(history):
    """The violations of a history."""
    return judge(history) + undecided(history)


def undecided(history):
    """The commands of a drained log without an outcome."""
    recorded = {each.request_id for each in history.final.requests}
    return [
        Violation(LOG_DECIDED, f"{each.request_id} stands at {each.offset} of partition {each.partition}, undecided")
        for each in history.final.log
        if each.request_id not in recorded
    ]
