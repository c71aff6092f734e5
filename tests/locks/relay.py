"""A TCP relay on this machine that can change what a server says, or swallow everything without telling anybody."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from tests.locks.harness import work_for


class Relay:
    """Passes bytes between its own port and `target`.

    Args:
        target: port that it leads to.
        edit: what the server says -> what the client hears.
        late_s: how late the client hears it.
    """

    def __init__(self, target: int, edit: Callable[[bytes], bytes] = lambda data: data, late_s: float = 0.0) -> None:
        self.port = 0
        self._late_s = late_s
        self.passed = 0
        self._target, self._edit = target, edit
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """From now on nothing passes, and neither side learns it."""
        self._open.clear()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        self._tasks.add(asyncio.current_task())
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pass(reader, back, lambda data: data, 0.0))
                ways.create_task(self._pass(there, writer, self._edit, self._late_s))
        except* (OSError, asyncio.CancelledError):
            pass  # the end of either side, or of the relay, is the end of both
        finally:
            back.transport.abort()
            writer.transport.abort()
            self._tasks.discard(asyncio.current_task())

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, edit: Callable[[bytes], bytes], late_s: float
    ) -> None:
        while data := await reader.read(65_536):
            await self._open.wait()
            if late_s:
                await work_for(late_s)
            writer.write(edit(data))
            self.passed += len(data)
        raise ConnectionResetError

    async def close(self) -> None:
        """Hang up."""
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # aborted sockets close in the loop's next turn


@contextlib.asynccontextmanager
async def relay(
    target: int, edit: Callable[[bytes], bytes] = lambda data: data, late_s: float = 0.0
) -> AsyncIterator[Relay]:
    """An open relay."""
    made = Relay(target, edit, late_s)
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.close()
