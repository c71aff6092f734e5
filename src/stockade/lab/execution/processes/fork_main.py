"""The main function of a forking process: forks for each start, and runs a module in the new process.

`python -m stockade.lab.execution.processes.fork_main NUMBER MODULE…`, with the number of an inherited socket, and what
it imports. Neighbour: `forking_process.py` is the other end.
"""

import gc
import importlib
import json
import os
import resource
import runpy
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from typing import Any

MESSAGE_BYTES = 2**12  # at most; what there is to say of a start is in a file
MOST_DESCRIPTORS = 4  # the file of the start, standard output and error, and one more
FOR_ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # signals that reach every process of a terminal or a job


def main(number: int, modules: list[str]) -> None:
    """Import these modules, and serve the socket of this number until the other end closes it."""
    # it serves until the other end has ended; what it starts has the mask, and the handlers, that it was given itself
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_ALL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored, nobody can ask for an exit code
    for name in modules:
        with suppress(ImportError):  # an extra that is not installed; a start of a missing module says so itself
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a new process does not look through what it shares, which would copy it
    module = _serve(socket.socket(fileno=number))
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _serve(link: socket.socket) -> str:
    """Answer questions, in JSON; returns in each new process only: the module that it runs."""
    while True:
        message, descriptors, *_ = socket.recv_fds(link, MESSAGE_BYTES, MOST_DESCRIPTORS)
        if not message:
            sys.exit()
        question, pid = json.loads(message)
        answer: int | str | bool | None
        if question == "exit code":
            answer = _exit_code(pid)
        elif question == "is stopped":
            answer = is_stopped_child(pid)
        else:
            try:
                answer = os.fork()
            except OSError as error:  # too many processes, or no memory
                answer = f"cannot fork: {error.strerror}"
            if answer == 0:
                link.close()
                return _become(descriptors)
        for each in descriptors:
            os.close(each)
        link.send(json.dumps(answer).encode())


def _exit_code(pid: int) -> int | None:
    """Of a child that has ended; None: a tracer (strace) must see the end before its parent can."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def is_stopped_child(pid: int) -> bool:
    """Whether a signal has stopped this child of this process; False for one that has ended."""
    with suppress(ChildProcessError):  # it has ended, and another thread has waited for it
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    return False


def _become(descriptors: list[int]) -> str:
    """Take over the environment, folder and streams of a start; the module that runs."""
    file, *streams = descriptors
    with open(file, "rb") as written:  # noqa: PTH123 - a descriptor
        start: dict[str, Any] = json.load(written)
    for stream, place in zip(streams, (1, 2), strict=False):
        os.dup2(stream, place)
        os.close(stream)
    resource.setrlimit(resource.RLIMIT_NOFILE, start["open_files"])
    os.chdir(start["folder"])
    os.environ.clear()
    os.environ.update(start["environment"])
    tempfile.tempdir = None  # TMPDIR may be another one now
    sys.path[:] = start["path"]
    importlib.invalidate_caches()
    module = str(start["module"])
    if not hasattr(sys.modules.get(module), "__path__"):  # of a package, its `__main__` runs
        sys.modules.pop(module, None)  # it runs anew, as the main program
    passed = str(streams[2]) if len(streams) > 2 else ""
    sys.argv[1:] = [word.replace("{descriptor}", passed) for word in start["words"]]
    return module


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
