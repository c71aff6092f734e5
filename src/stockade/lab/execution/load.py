"""The load: every buyer sends one command, all at the same moment, and waits for the response.

Neighbours: `order_senders.py` sends in this process, `processes/` in others; `processes/answers.py` says what an
outcome or an error means.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from stockade.core import Command, Outcome
from stockade.lab.execution.processes.answers import of_error, of_outcome
from stockade.lab.history.operation import OK, REFUSED, UNKNOWN
from stockade.lab.model.repeat_result import ACCEPTED, FAILED, QUEUED, REJECTED, Response

Barrier = Callable[[], Awaitable[object]]
Execute = Callable[[Command], Awaitable[Outcome | bool]]
_Answer = Outcome | bool | Exception
STATUS: Final[Mapping[str, str]] = {OK: ACCEPTED, REFUSED: REJECTED}  # of an answer's type; every other is no decision


async def send_all(execute: Execute, commands: Sequence[Command], barrier: Barrier | None = None) -> list[Response]:
    """Send all commands at once and wait for every response.

    Args:
        execute: executes one command, or queues it and returns True.
        commands: one for each buyer.
        barrier: returns when every other process is ready too.
    """
    start = asyncio.Event()
    buyers = [asyncio.create_task(_send(execute, command, start)) for command in commands]
    try:
        await asyncio.sleep(0)  # now every task waits for the event
        if barrier:
            await barrier()
        start.set()
        # responses are made after the last answer, so that hashing delays nobody
        return [_response(*answered) for answered in await asyncio.gather(*buyers)]
    finally:  # a burst that does not begin, or is cancelled, leaves no buyer behind
        for buyer in buyers:
            buyer.cancel()
        await asyncio.gather(*buyers, return_exceptions=True)


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
    found = of_error(answer) if isinstance(answer, Exception) else of_outcome(answer)
    return Response(
        request_id,
        STATUS.get(found.type, FAILED),
        found.code,
        found.answer,
        found.unexpected,
        began_ns,
        ended_ns,
        unknown=found.type == UNKNOWN,
    )
