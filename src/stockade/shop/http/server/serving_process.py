"""One serving process of several, started by `supervisor`.

`python -m stockade.shop.http.server.serving_process LIFE_FD READY_FD NUMBER LISTEN_FD…`. The first LISTEN_FD is that of
the API, a second one that of the metrics.

The settings come as JSON on standard input, because they may contain secrets. LIFE_FD is the reading end of a pipe of
the supervisor: when the supervisor ends, also by SIGKILL, the pipe is closed and the process stops. The process writes
one byte to READY_FD when it accepts connections, or a line of text with the reason why it cannot start.
"""

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import Sequence

import msgspec
import uvloop

from stockade.core import Busy, NotSupported
from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.http.server.server import serve
from stockade.shop.http.server.serving_protocol import READY
from stockade.shop.operations import logs
from stockade.shop.operations.metrics import MULTIPROCESS_DIR
from stockade.shop.operations.tune_gc import tune_gc
from stockade.store.guards_in_use import process_name


async def work(settings: Settings, listen_fds: Sequence[int], life_fd: int, ready_fd: int) -> None:
    """Serve until SIGTERM, or until the supervisor has ended.

    Raises:
        BadSetting, Busy, NotSupported: the shop cannot be opened.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def orphaned() -> None:
        loop.remove_reader(life_fd)
        stop.set()

    loop.add_reader(life_fd, orphaned)  # nothing is ever written to it, so readable means closed

    def ready(listening: socket.socket) -> None:
        tune_gc()
        _report(ready_fd, READY)

    # a message to stop `process` must name the supervisor, which would replace a stopped serving process
    supervisor = process_name(os.getppid())
    await serve(settings, lambda: [socket.socket(fileno=fd) for fd in listen_fds], ready, stop, process=supervisor)
    if stop.is_set():  # the supervisor can no longer remove it
        shutil.rmtree(os.environ[MULTIPROCESS_DIR], ignore_errors=True)


def main() -> int:
    """Read the settings, serve, and return the exit code."""
    life_fd, ready_fd, number, *listen_fds = map(int, sys.argv[1:])
    settings = Settings(**msgspec.json.decode(sys.stdin.buffer.read()))
    logs.configure(settings, number)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work(settings, listen_fds, life_fd, ready_fd))
    except (BadSetting, Busy, NotSupported) as error:
        _report(ready_fd, str(error).encode())
        return 1
    return 0


def _report(ready_fd: int, message: bytes) -> None:
    os.write(ready_fd, message)
    os.close(ready_fd)


if __name__ == "__main__":
    sys.exit(main())
