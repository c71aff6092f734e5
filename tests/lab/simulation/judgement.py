"""What is wrong with a simulated history, as far as its strategy promises anything."""

from dataclasses import replace

from stockade.lab.checkers import judge
from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.rows import serializable
from stockade.lab.checkers.system import log_order
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.operation import REFUSED
from stockade.lab.model.contender import Contender
from stockade.lab.simulation.settings import OPTIONS
from stockade.store.transaction.optimistic import OPTIMISTIC
from stockade.strategies import registry

LOG_DECIDED = "log-decided"  # a rule of the simulator: every command of the log has an outcome when the log is drained
TWO_PASSES = ("pay_order", "cancel_order")  # only their order names the rows that they change


def compares_at_the_write(contender):
    """Whether rows are read one after the other without locks, and only an accepted command compares them."""
    strategy = object.__new__(registry.find(contender.strategy))
    strategy.options = contender.options(OPTIONS)
    return strategy.guard.kind in OPTIMISTIC


def violations(history):
    """The violations of a history.

    A refusal of a strategy that compares rows only at the write names rows as they were read, perhaps not all at one
    moment (docs/strategies/optimistic.md): what such refusals saw is not under the rule `serializable`, what accepted
    commands wrote is. Commands of a log that need a second pass are decided behind their batch
    (docs/strategies/kafka.md): the other ones are under the rule `log-order`.
    """
    found = judge(history)
    if compares_at_the_write(Contender.parse(history.strategy)):
        found = without(found, serializable) + list(serializable.check(IndexedHistory(accepted_only(history))))
    if history.final.log:
        found = without(found, log_order) + list(log_order.check(IndexedHistory(one_pass_only(history))))
    return found + undecided(history)


def without(found, checker):
    """The violations of the other checkers."""
    return [each for each in found if each.rule != checker.RULE]


def accepted_only(history):
    """The history without what refusals saw."""
    seen = [each._replace(versions={}) if each.type == REFUSED else each for each in history.operations]
    return replace(history, operations=tuple(seen))


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
