"""Keeps every operation of a recording in memory: one tuple each, made into values when the load has ended.

The lab's own process records, because no fault hits it, and one clock gives every time. Neighbours: `load.py` tells it
what happens; `python -m benchmarks.recording` measures what it costs.
"""

import time
from collections.abc import Mapping
from typing import NamedTuple

from stockade.core import Command
from stockade.lab.history.operation import Operation
from stockade.lab.recording.answers import Answer

READ = "read"  # name of the command of an operation that reads rows


class Sent(NamedTuple):
    """What is known of an operation when it begins."""

    number: int
    client: int
    process: str
    command: Command | None
    keys: tuple[str, ...]
    deltas: Mapping[str, int]
    invoke_ns: int
    deadline_ns: int


class Recorder:
    """Records. `invoked` begins an operation, `returned` ends it."""

    def __init__(self) -> None:
        self._next = 0
        self._ended: list[tuple[Sent, int, Answer]] = []

    def __len__(self) -> int:
        return len(self._ended)

    def invoked(
        self,
        client: int,
        process: str,
        command: Command | None,
        wait_s: float,
        *,
        keys: tuple[str, ...] = (),
        deltas: Mapping[str, int] | None = None,
    ) -> Sent:
        """An operation begins now.

        Args:
            client: that sends it.
            process: that it is sent to.
            command: what is sent; None: a read of `keys`.
            wait_s: how long the service may take, in seconds; 0: no deadline is offered.
            keys: of a read.
            deltas: see `Operation`.
        """
        number = self._next
        self._next = number + 1
        now_ns = time.monotonic_ns()
        deadline_ns = now_ns + int(wait_s * 1e9) if wait_s else 0
        return Sent(number, client, process, command, keys, deltas or {}, now_ns, deadline_ns)

    def returned(self, sent: Sent, answer: Answer) -> None:
        """It ends now."""
        self._ended.append((sent, time.monotonic_ns(), answer))

    def operations(self) -> tuple[Operation, ...]:
        """Everything recorded, by number."""
        return tuple(_operation(*each) for each in sorted(self._ended, key=lambda each: each[0].number))


def _operation(sent: Sent, return_ns: int, answer: Answer) -> Operation:
    command = sent.command
    return Operation(
        number=sent.number,
        client=sent.client,
        process=sent.process,
        command=READ if command is None else command.name,
        keys=sent.keys if command is None else tuple(map(str, command.keys)),
        request_id="" if command is None else command.request_id,
        fingerprint="" if command is None else command.fingerprint,
        invoke_ns=sent.invoke_ns,
        return_ns=return_ns,
        type=answer.type,
        code=answer.code,
        replayed=answer.replayed,
        answer=answer.answer,
        versions=answer.versions,
        deltas=sent.deltas,
        deadline_ns=sent.deadline_ns,
        unexpected=answer.unexpected,
    )
