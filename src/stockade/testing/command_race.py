"""Commands that are sent at the same moment to a strategy in this process. `http_race.py` races a service over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import count

from stockade.core import Command, CommandResult, Outcome
from stockade.service.ids import derived_id


async def race_commands(
    execute: Callable[[Command], Awaitable[Outcome]], commands: Sequence[Command], *, timeout_s: float = 30.0
) -> list[CommandResult]:
    """Send all commands at once, each from a task of its own, and wait for every outcome.

    Args:
        execute: `Service.execute`, or that of a strategy.
        commands: one for each caller.
        timeout_s: the longest to wait for all of them, in seconds.

    Returns:
        For each command its outcome, or the exception that it ended with.

    Raises:
        TimeoutError: some have not ended in time; they are cancelled.
    """
    start = asyncio.Event()

    async def send(command: Command) -> CommandResult:
        await start.wait()
        try:
            return await execute(command)
        except Exception as error:  # noqa: BLE001 - it is this caller's result, and the test judges it
            return error

    tasks = [asyncio.create_task(send(command)) for command in commands]
    await asyncio.sleep(0)  # now every task waits for the event
    start.set()
    try:
        async with asyncio.timeout(timeout_s):
            return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def request_ids(*parts: str) -> Iterator[str]:
    """Request ids without end, the same in every run.

    Args:
        parts: name the test, so that no two tests share an id.
    """
    return (derived_id("test", *parts, number) for number in count())
