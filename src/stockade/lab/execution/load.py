"""The load: every buyer sends one command, all at the same moment, and waits for the response.

Neighbours: `order_senders.py` sends in this process, `child_main.py` in others.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b

from stockade.core import Accepted, Command, Outcome, StockadeError
from stockade.lab.model.repeat_result import ACCEPTED, FAILED, QUEUED, REJECTED, Response

Barrier = Callable[[], object]
Execute = Callable[[Command], Awaitable[Outcome | bool]]
_Answer = Outcome | bool | Exception


async def send_all(execute: Execute, commands: Sequence[Command], barrier: Barrier | None = None) -> list[Response]:
    """Send all commands at once and wait for every response.

    Args:
        execute: executes one command, or queues it and returns True.
        commands: one for each buyer.
        barrier: blocks until every other process is ready too.
    """
    start = asyncio.Event()
    buyers = [asyncio.create_task(_send(execute, command, start)) for command in commands]
    await asyncio.sleep(0)  # now every task waits for the event
    if barrier:
        barrier()
    start.set()
    # responses are made after the last answer, so that hashing delays nobody
    return [_response(*answered) for answered in await asyncio.gather(*buyers)]


async def _send(execute: Execute, command: Command, start: asyncio.Event) -> tuple[str, _Answer, int, int]:
    await start.wait()
    began_ns = time.monotonic_ns()
    try:
        answer: _Answer = await execute(command)
    except Exception as error:  # noqa: BLE001 - it is this buyer's response, and the checks judge it
        answer = error
    return command.request_id, answer, began_ns, time.monotonic_ns()


def _response(request_id: str, answer: _Answer, began_ns: int, ended_ns: int) -> Response:
    if isinstance(answer, bool):
        return Response(request_id, QUEUED, "", "", "", began_ns, ended_ns)
    if isinstance(answer, Exception):
        code = getattr(answer, "code", type(answer).__name__)
        unexpected = "" if isinstance(answer, StockadeError) else f"{type(answer).__name__}: {answer}"
        unknown = getattr(answer, "outcome", "unknown") != "none"
        return Response(request_id, FAILED, code, "", unexpected, began_ns, ended_ns, unknown)
    content_hash = blake2b(json.dumps(answer.data, sort_keys=True).encode(), digest_size=8).hexdigest()
    if isinstance(answer, Accepted):
        return Response(request_id, ACCEPTED, "", content_hash, "", began_ns, ended_ns)
    return Response(request_id, REJECTED, answer.code, content_hash, "", began_ns, ended_ns)
