"""Calls as JSON lines for the program in `tests/lab/porcupine`, so that a second checker judges the same history."""

from collections.abc import Iterator

import msgspec

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.linearizability.call import is_lock, unversioned_calls, versioned_calls
from stockade.lab.history.history import History


def exported(history: History) -> Iterator[bytes]:
    """A line for each object, `{"key", "model", "initial"}`, followed by a line for each of its calls."""
    indexed = IndexedHistory(history)
    encode = msgspec.json.Encoder().encode
    for calls in unversioned_calls(indexed) or versioned_calls(indexed):
        model = "lock" if is_lock(calls) else "register"
        yield encode({"key": calls.key, "model": model, "initial": calls.initial}) + b"\n"
        for call in calls.calls:
            yield encode(call._asdict()) + b"\n"
