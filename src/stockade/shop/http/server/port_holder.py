"""Finds the process that listens on a port, so that the message about a port in use can name it.

Linux only, and only for processes that this user may inspect. Neighbour: `sockets`.
"""

from collections.abc import Iterator
from pathlib import Path

_LISTENS = "0A"  # the kernel's number of this state, in proc(5)
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_MAX_PROCESSES = 10_000


def port_holder(port: int) -> str:
    """`name (pid N)` of the process that listens on a port of this machine; empty where it is not known."""
    try:
        sockets = {f"socket:[{inode}]" for table in _TABLES for inode in _listening(Path(table), port)}
    except OSError:  # no such table: another system
        return ""
    processes = sorted(Path("/proc").glob("[0-9]*"), key=lambda each: int(each.name))
    for process in processes[:_MAX_PROCESSES] if sockets else []:
        if sockets.intersection(_open_files(process)):
            return f"{_name(process)} (pid {process.name})"
    return ""


def _listening(table: Path, port: int) -> Iterator[str]:
    """The inodes of the sockets that listen on a port."""
    for line in table.read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
            yield fields[9]


def _open_files(process: Path) -> Iterator[str]:
    try:
        for file in (process / "fd").iterdir():
            yield str(file.readlink())
    except OSError:  # it has ended, or belongs to another user
        return


def _name(process: Path) -> str:
    """Its short name: the whole command line may hold a password."""
    try:
        return (process / "comm").read_text().strip()
    except OSError:  # it has ended
        return "a process"
