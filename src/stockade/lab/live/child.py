"""A child process of the page's server: it is told what to do and answers, in lines of JSON.

It is in a session of its own, so that Ctrl-C in the terminal reaches the server only, which then ends its children in
order. Neighbours: `lab/lines.py` is the child's side; `session.py` has a run and a race in slow motion as children.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
from contextlib import suppress
from typing import Any, Final

from stockade.lab.errors import LabError
from stockade.lab.execution.processes.forking_process import with_import_path
from stockade.lab.lines import MOST_BYTES

END_WAIT_S: Final = 10.0  # in order: servers are ended, folders removed
TERM_WAIT_S: Final = 5.0
PRINTED: Final = 600  # characters of what a child that died has printed
AGAIN: Final = "begin again, and report it if that happens twice"


class Child:
    """A started child. `start` makes it.

    Args:
        process: that was started.
        printed: file of its error output.
    """

    def __init__(self, process: asyncio.subprocess.Process, printed: Any) -> None:
        self._process, self._printed = process, printed

    @classmethod
    async def start(cls, module: str, *arguments: str) -> "Child":
        """Start a module as a child.

        Args:
            module: its name.
            arguments: of its command line.
        """
        printed = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            env=with_import_path(os.environ),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=printed,
            limit=MOST_BYTES,
            start_new_session=True,
        )
        return cls(process, printed)

    @property
    def pid(self) -> int:
        """Process id, which is that of its group too."""
        return self._process.pid

    async def send(self, value: Any) -> None:
        """Write a line to it; nothing if it has ended, which `receive` tells."""
        assert self._process.stdin is not None
        with suppress(ConnectionError):
            self._process.stdin.write(json.dumps(value).encode() + b"\n")
            await self._process.stdin.drain()

    async def receive(self) -> dict[str, Any] | None:
        """The next line; None when it has ended.

        Raises:
            LabError: what it says instead, or that it died.
        """
        assert self._process.stdout is not None
        try:
            line = await self._process.stdout.readline()
        except ValueError:
            raise LabError(f"the process said a line of more than {MOST_BYTES:,} bytes") from None
        if not line:
            if await self._process.wait():
                raise LabError(f"the process ended with {self._process.returncode}: {self._last_words()}; {AGAIN}")
            return None
        found = _parsed(line)
        if error := found.get("error"):
            raise LabError(str(error))
        return found

    def _last_words(self) -> str:
        self._printed.seek(0)
        text = self._printed.read().decode(errors="replace")
        return " ".join(text[-PRINTED:].split()) or "it said nothing"

    async def end(self) -> None:
        """Let it end in order; then tell it to; then kill it with everything that it started."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            if not await self._ended(END_WAIT_S):
                self._signal(signal.SIGTERM)
                await self._ended(TERM_WAIT_S)
        finally:  # cancelled, too
            with suppress(ProcessLookupError):  # nothing of its group is left
                os.killpg(self.pid, signal.SIGKILL)
            await self._process.wait()
            self._printed.close()

    async def _ended(self, wait_s: float) -> bool:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(wait_s):
                while await self._process.stdout.read(MOST_BYTES):  # what nobody wants any more must not block it
                    continue
                await self._process.wait()
        except TimeoutError:
            return False
        return True

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):  # it has ended this moment
            self._process.send_signal(number)


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        said = line[:PRINTED].decode(errors="replace").strip()
        raise LabError(f"the process said what nobody understands: {said}; {AGAIN}")
    return found
