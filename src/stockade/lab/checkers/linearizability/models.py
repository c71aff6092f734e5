"""What a register and a lock allow, call by call: pure functions from a state to the next.

The program in tests/lab/porcupine has the same models in Go. Neighbour: `search.py` asks them.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from stockade.lab.checkers.linearizability.call import ACQUIRE, BETWEEN, COMPARE_AND_SET, READ, WRITE, Call

State: TypeAlias = str  # the value of a register; the owner of a lock, empty when it is free
Model: TypeAlias = Callable[[State, Call], State | None]
FREE: Final = ""


def register(state: State, call: Call) -> State | None:
    """The value after the call; None if the call cannot have had its result at this value."""
    if call.action == WRITE:
        return call.argument
    if call.action == READ:
        return state if call.result == state else None
    assert call.action == COMPARE_AND_SET
    expected, _, new = call.argument.partition(BETWEEN)
    if not call.known:  # carried out, it set the value if the comparison held
        return new if expected == state else state
    if call.ok:
        return new if expected == state else None
    return None if expected == state else state


def lock(state: State, call: Call) -> State | None:
    """The owner after the call; None if the call cannot have had its result under this owner.

    A refused `acquire` met another owner, a refused `release` was not the owner's. One without an answer may have been
    either.
    """
    if call.action == ACQUIRE:
        takes = state == FREE
        if not call.known:
            return call.argument if takes else state
        if call.ok:
            return call.argument if takes else None
        return None if takes else state
    owns = state == call.argument
    if not call.known:
        return FREE if owns else state
    if call.ok:
        return FREE if owns else None
    return None if owns else state
