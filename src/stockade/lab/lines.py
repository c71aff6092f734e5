"""Lines of JSON between the live page's server and its children: standard input and output of a child process.

Neighbours: `live/child.py` is the server's side; `slow_motion/main.py` and `live/running/main.py` are children.
"""

import asyncio
import ctypes
import json
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final

import uvloop

from stockade.core import StockadeError
from stockade.lab.errors import LabError

MOST_BYTES: Final = 4_000_000  # of a line
PR_SET_PDEATHSIG = 1


class Input:
    """The lines of standard input inside the block; it ends when the parent closes them, or ends."""

    def __init__(self) -> None:
        self._reader = asyncio.StreamReader(limit=MOST_BYTES)
        self._transport: asyncio.ReadTransport | None = None

    async def __aenter__(self) -> "Input":
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._reader), sys.stdin.buffer
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._transport is not None:
            self._transport.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while line := await self._reader.readline():
            yield line

    async def first(self) -> bytes:
        """The first line."""
        return await self._reader.readline()

    async def ended(self) -> None:
        """Wait until the parent closes the input; what it still sends is not read."""
        while await self._reader.read(MOST_BYTES):
            continue


def write_line(value: Any) -> None:
    """Write a value to standard output, at once."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def run_child(work: Coroutine[Any, Any, None]) -> None:
    """Run a child's work on the kind of event loop that `serve` uses; an error is its last line.

    SIGTERM cancels the work, so that it ends its servers and removes its folders. The kernel sends it where the parent
    is killed; Ctrl-C is the parent's affair.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_cancelled_by_sigterm(work))
    except asyncio.CancelledError:
        return
    except Exception as error:  # noqa: BLE001 - whatever it is, the page says it
        write_line({"error": said_by(error)})


async def _cancelled_by_sigterm(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await work


def said_by(error: BaseException) -> str:
    """An error in one line; one that nobody foresaw with its type."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = " ".join(str(error).split())
    return text if isinstance(error, LabError | StockadeError | ValueError) else f"{type(error).__name__}: {text}"
