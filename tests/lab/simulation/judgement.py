"""What is wrong with a simulated history."""

from dataclasses import replace

from stockade.lab.checkers import judge
from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.system import log_order
from stockade.lab.checkers.violation import Violation

LOG_DECIDED = "log-decided"  # a rule of the simulator: every command of the log has an outcome when the log is drained
TWO_PASSES = ("pay_order", "cancel_order")  # only their order names the rows that they change


def violations(history):
    """The violations of a history.

    Commands of a log that need a second pass are decided behind their batch (docs/strategies/kafka.md): the other ones
    are under the rule `log-order`.
    """
    found = judge(history)
    if history.final.log:
        found = without(found, log_order) + list(log_order.check(IndexedHistory(one_pass_only(history))))
    return found + undecided(history)


def without(found, checker):
    """The violations of the other checkers."""
    return [each for each in found if each.rule != checker.RULE]


def one_pass_only(history):
    """The history whose log has only the commands that name all their rows."""
    names = {each.request_id: each.command for each in history.operations}
    log = [record for record in history.final.log if names[record.request_id] not in TWO_PASSES]
    return replace(history, final=replace(history.final, log=tuple(log)))


def undecided(history):
    """The commands of a drained log without an outcome."""
    recorded = {each.request_id for each in history.final.requests}
    return [
        Violation(LOG_DECIDED, f"{each.request_id} stands at {each.offset} of partition {each.partition}, undecided")
        for each in history.final.log
        if each.request_id not in recorded
    ]
