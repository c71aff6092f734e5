"""The main function of a forking process: forks for each start, and runs a module in the new process.

`python -m stockade.lab.execution.processes.fork_main NUMBER MODULE…`, with the number of an inherited socket, and what
it imports. Neighbour: `forking_process.py` is the other end.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from typing import Any

MOST_BYTES = 2**12  # of a message; what it says of a start is in a file
MOST_PASSED = 4  # descriptors: the file of the start, standard output and error, and one more


def main(number: int, modules: list[str]) -> None:
    """Import these modules, and serve the socket of this number until the other end closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches it too: it serves until the other end has ended
    for name in modules:
        with suppress(ImportError):  # an extra that is not installed, or a module that the new process will name
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a new process does not look through what it shares, which would copy it
    module = _serve(socket.socket(fileno=number))
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _serve(link: socket.socket) -> str:
    """Answer with process ids and exit codes; returns in each new process only: the module that it runs."""
    while True:
        message, descriptors, *_ = socket.recv_fds(link, MOST_BYTES, MOST_PASSED)
        if not message:
            sys.exit()
        question, pid = json.loads(message)
        if question == "exit code":
            link.send(json.dumps(_exit_code(pid)).encode())
        elif question == "is stopped":
            link.send(json.dumps(_is_stopped(pid)).encode())
        elif pid := os.fork():
            for each in descriptors:
                os.close(each)
            link.send(str(pid).encode())
        else:
            link.close()
            return _become(descriptors)


def _exit_code(pid: int) -> int | None:
    """Of a process that has ended; None for one that this process has not started."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return None


def _is_stopped(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def _become(descriptors: list[int]) -> str:
    """Take over the environment, folder and streams of a start; the module that runs."""
    file, *streams = descriptors
    with open(file, "rb") as written:  # noqa: PTH123 - a descriptor
        start: dict[str, Any] = json.load(written)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream, place in zip(streams, (1, 2), strict=False):
        os.dup2(stream, place)
        os.close(stream)
    os.chdir(start["folder"])
    os.environ.clear()
    os.environ.update(start["environment"])
    tempfile.tempdir = None  # TMPDIR may be another one now
    sys.path[:] = start["path"]
    importlib.invalidate_caches()
    sys.modules.pop(start["module"], None)  # it runs anew, as `__main__`
    passed = str(streams[2]) if len(streams) > 2 else ""
    sys.argv[1:] = [word.replace("{descriptor}", passed) for word in start["words"]]
    return str(start["module"])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
