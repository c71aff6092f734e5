"""One decision of a command, without a database, and a check that the command keeps its contract."""

from collections.abc import Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any

from stockade.core import Accepted, Command, Decision, Key, Rejected, Row
from stockade.core.decision import MAX_EXTRA_KEY_ROUNDS
from stockade.store.transaction.validation import command_problem

VERSION = 7  # of the rows; no rule may depend on it


class WrongCommand(AssertionError):
    """A command breaks the contract of `stockade.core.Command`; the message says how."""


def decide(command: Command, states: Mapping[Key, Any]) -> Decision:
    """Decide as the store would, and check that the command keeps its contract.

    It has the same keys and fingerprint each time it is asked, decides the same on the same rows, changes none of them,
    and returns a `Decision` with an outcome that changes only rows that it named.

    Args:
        command: to decide.
        states: the rows that exist, by key; every other row that the command names does not exist.

    Returns:
        The decision, after the command had the rows that it asked for.

    Raises:
        WrongCommand: the command breaks the contract.
    """
    _check(command)
    keys = frozenset(command.keys)
    for _ in range(MAX_EXTRA_KEY_ROUNDS + 1):
        decision = _decide_twice(command, {key: _row(key, states.get(key)) for key in keys})
        missing = set(decision.need_keys) - keys
        if not missing:
            _check_decision(command, decision, keys)
            return decision
        keys |= missing
    raise WrongCommand(f"{command.name} asked for more rows more than {MAX_EXTRA_KEY_ROUNDS} times")


def _check(command: Command) -> None:
    problem = command_problem(command)
    if problem is not None:
        raise WrongCommand(str(problem))


def _row(key: Key, state: Any) -> Row:
    return Row(key, state, 0 if state is None else VERSION)


def _decide_twice(command: Command, rows: dict[Key, Row]) -> Decision:
    before = deepcopy(rows)
    first: object = command.decide(MappingProxyType(rows))
    if rows != before:
        raise WrongCommand(f"{command.name} changed a row that it was given: return a Change instead")
    if not isinstance(first, Decision):
        raise WrongCommand(f"{command.name} decided {first!r:.100}, which must be a Decision")
    again = command.decide(MappingProxyType(rows))
    if again != first:
        raise WrongCommand(f"{command.name} decided twice on the same rows, and not the same: {first}, {again}")
    return first


def _check_decision(command: Command, decision: Decision, keys: frozenset[Key]) -> None:
    if not isinstance(decision.outcome, Accepted | Rejected):
        raise WrongCommand(f"{command.name} decided {decision.outcome!r:.100}, which must be Accepted or Rejected")
    if strange := [str(key) for key in decision.changes if key not in keys]:
        raise WrongCommand(f"{command.name} changes {', '.join(strange)}, which it did not name in `keys`")
