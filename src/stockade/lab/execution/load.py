"""The load: a closed loop in which every buyer sends one command, all at the same moment.

Neighbours: `crew` runs it in this process, `worker` in others; `trial` is what the checks see of it.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from stockade.core import Accepted, Command, Outcome, StockadeError

ACCEPTED, REJECTED, FAILED, QUEUED = "accepted", "rejected", "failed", "queued"


class Shot(NamedTuple):
    """One buyer's answer.

    Attributes:
        request_id: of the command.
        answer: "accepted", "rejected" by the rules, "failed" (no decision), or "queued" (in the log, to be decided).
        code: why it was rejected or failed; empty when accepted.
        content: hash of what the buyer was told: equal requests must be told the same.
        unexpected: what was raised, where it is no refusal that the strategies document.
        began_ns: monotonic clock, which all processes of a machine share.
        ended_ns: the same.
        unknown: it failed, and may have been carried out all the same.
    """

    request_id: str
    answer: str
    code: str
    content: str
    unexpected: str
    began_ns: int
    ended_ns: int
    unknown: bool = False


Barrier = Callable[[], object]
Execute = Callable[[Command], Awaitable[Outcome | bool]]


async def fire(execute: Execute, commands: Sequence[Command], barrier: Barrier | None = None) -> list[Shot]:
    """Send all commands at once and wait for every answer.

    Args:
        execute: carries one command out, or queues it and returns True.
        commands: one for each buyer.
        barrier: blocks until every other process stands ready too.
    """
    start = asyncio.Event()
    buyers = [asyncio.create_task(_buy(execute, command, start)) for command in commands]
    await asyncio.sleep(0)  # every task now stands behind the start
    if barrier:
        barrier()
    start.set()
    return [_shot(*told) for told in await asyncio.gather(*buyers)]


Told = tuple[Command, Outcome | bool | Exception, int, int]


async def _buy(execute: Execute, command: Command, start: asyncio.Event) -> Told:
    await start.wait()
    began_ns = time.monotonic_ns()
    try:
        answer: Outcome | bool | Exception = await execute(command)
    except Exception as error:  # noqa: BLE001 - recorded as this buyer's answer, and judged by the checks
        answer = error
    return command, answer, began_ns, time.monotonic_ns()


def _shot(command: Command, told: Outcome | bool | Exception, began_ns: int, ended_ns: int) -> Shot:
    if isinstance(told, bool):
        return Shot(command.request_id, QUEUED, "", "", "", began_ns, ended_ns)
    if isinstance(told, Exception):
        code = getattr(told, "code", type(told).__name__)
        unexpected = "" if isinstance(told, StockadeError) else f"{type(told).__name__}: {told}"
        unknown = getattr(told, "outcome", "unknown") != "none"
        return Shot(command.request_id, FAILED, code, "", unexpected, began_ns, ended_ns, unknown)
    content = blake2b(json.dumps(told.data, sort_keys=True).encode(), digest_size=8).hexdigest()
    if isinstance(told, Accepted):
        return Shot(command.request_id, ACCEPTED, "", content, "", began_ns, ended_ns)
    return Shot(command.request_id, REJECTED, told.code, content, "", began_ns, ended_ns)
