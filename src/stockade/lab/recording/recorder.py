"""Keeps every operation of a recording in memory: one tuple each, made into values when the load has ended.

The lab's own process records, because no fault hits it, and one clock gives every time. Neighbours: `load.py` tells it
what happens; `python -m benchmarks.recording` measures what it costs.
"""

import gc
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic_ns
from types import MappingProxyType
from typing import Final, TypeAlias

from stockade.core import Command
from stockade.lab.execution.processes.answers import Answer
from stockade.lab.history.operation import OK, REFUSED, Operation

THRESHOLDS: Final = (50_000, 50, 1_000)
DECIDED = (OK, REFUSED)
NONE: Final[Mapping[str, int]] = MappingProxyType({})
READ = "read"  # name of the command of an operation that reads rows


Rows: TypeAlias = Mapping[str, int]
# What is known of an operation when it begins: number, client, process, command, keys, deltas, takes, invoke_ns,
# deadline_ns. A plain tuple: a named one takes three times as long to make, and this is done for every request.
Sent: TypeAlias = tuple[int, int, str, Command | None, tuple[str, ...], Rows, Rows, int, int]
Ended: TypeAlias = tuple[Sent, int, Answer]  # and when it ended, on the monotonic clock in ns, and how


@contextmanager
def rare_collection() -> Iterator[None]:
    """Collect garbage seldom inside the block: every full collection would look at all that was recorded so far."""
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class Recorder:
    """Records. `invoked` begins an operation, `returned` ends it.

    Attributes:
        decided: operations with a decision so far, without reads.
    """

    def __init__(self) -> None:
        self._next = itertools.count().__next__
        self._ended: list[Ended] = []
        self.decided = 0

    def __len__(self) -> int:
        return len(self._ended)

    def invoked(
        self,
        client: int,
        process: str,
        command: Command | None,
        wait_ns: int,
        *,
        keys: tuple[str, ...] = (),
        deltas: Rows = NONE,
        takes: Rows = NONE,
    ) -> Sent:
        """An operation begins now.

        Args:
            client: that sends it.
            process: that it is sent to.
            command: what is sent; None: a read of `keys`.
            wait_ns: how long the service may take, in nanoseconds; 0: no deadline is offered.
            keys: of a read.
            deltas: see `Operation`.
            takes: the same.
        """
        now_ns = monotonic_ns()
        return self._next(), client, process, command, keys, deltas, takes, now_ns, now_ns + wait_ns if wait_ns else 0

    def returned(self, sent: Sent, answer: Answer) -> None:
        """It ends now."""
        self._ended.append((sent, monotonic_ns(), answer))
        if answer.type in DECIDED and sent[3] is not None:
            self.decided += 1

    def ended_since(self, count: int) -> Sequence[Ended]:
        """What ended after the first `count` operations that ended, in that order: for whoever looks meanwhile."""
        return self._ended[count:]

    def operations(self) -> tuple[Operation, ...]:
        """Everything recorded, by number."""
        with rare_collection():
            return tuple(_operation(*each) for each in sorted(self._ended, key=lambda each: each[0][0]))


def _operation(sent: Sent, return_ns: int, answer: Answer) -> Operation:
    number, client, process, command, keys, deltas, takes, invoke_ns, deadline_ns = sent
    return Operation(
        number=number,
        client=client,
        process=process,
        command=READ if command is None else command.name,
        keys=keys if command is None else tuple(map(str, command.keys)),
        request_id="" if command is None else command.request_id,
        fingerprint="" if command is None else command.fingerprint,
        invoke_ns=invoke_ns,
        return_ns=return_ns,
        type=answer.type,
        code=answer.code,
        replayed=answer.replayed,
        answer=answer.answer,
        versions=answer.versions,
        deltas=dict(deltas),
        deadline_ns=deadline_ns,
        unexpected=answer.unexpected,
        takes=dict(takes),
        in_doubt=answer.in_doubt,
    )
