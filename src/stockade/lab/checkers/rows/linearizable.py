"""Linearizable: some order explains every call of a register or a lock, by search.

Only for histories without versions: where versions give the order, `real_time` and `version_chain` check in linear
time what a search does in exponential time.
"""

from collections.abc import Iterator
from typing import Final

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.linearizability.call import is_lock, unversioned_calls
from stockade.lab.checkers.linearizability.models import lock, register
from stockade.lab.checkers.linearizability.search import Search, Verdict
from stockade.lab.checkers.violation import Violation

RULE: Final = "linearizable"


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Report objects whose calls no order explains, and those of which it could not be decided."""
    for calls in unversioned_calls(history):
        found = Search(calls, lock if is_lock(calls) else register).run()
        if found.verdict is Verdict.UNDECIDED:
            text = f"undecided after {found.steps} steps: not shown to be right; record fewer clients or a shorter time"
            yield Violation(RULE, f"{calls.key}: {text}", key=calls.key)
        elif found.stuck is not None:
            call, states = found.stuck, " or ".join(repr(state) for state in found.states)
            said = "ok" if call.ok else "refused"
            text = (
                f"{call.action} {call.argument}{call.result} of client {call.client} was {said}; it was {states} then"
            )
            yield Violation(
                RULE,
                f"{calls.key}: no order explains operation {call.number}: {text}",
                key=calls.key,
                operation=call.number,
                at_ns=call.invoke_ns,
            )
