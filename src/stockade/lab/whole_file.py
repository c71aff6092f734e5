"""Files that take the place of another one in one step: there is the old one or the new one, and never a half.

A rename would also take the place of a device, a socket or a link, and so destroy what others use: these are refused.
Neighbours: `history/history_file.py` and `sweeps/sweep_file.py` write so; `cli/lab/common.py` asks before a run.
"""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from stockade.lab.errors import LabError

KINDS: Final = (
    (stat.S_ISLNK, "a symbolic link: name the file that it leads to"),
    (stat.S_ISDIR, "a folder, must be a file"),
    (stat.S_ISCHR, "a device, must be a file"),
    (stat.S_ISBLK, "a device, must be a file"),
    (stat.S_ISFIFO, "a pipe, must be a file"),
    (stat.S_ISSOCK, "a socket, must be a file"),
)


def why_not_replaced(path: Path) -> str:
    """Why a file cannot take the place of what is at this path; empty: there is nothing, or a regular file."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return ""
    return next((f"is {what}" for is_kind, what in KINDS if is_kind(mode)), "")


def unfinished(path: Path) -> Path:
    """The file beside it that is written first, and then takes its place."""
    return path.with_name(f"{path.name}.part")


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write; it takes the place of `path` at the end of the block, and an error leaves nothing of it.

    Raises:
        LabError: what is there is no regular file.
        OSError: it cannot be written; it names the file.
    """
    part = unfinished(path)
    for each in (path, part):
        if why := why_not_replaced(each):
            raise LabError(f"{each}: {why}")
    with naming(path):
        try:
            with part.open("wb") as file:
                yield file
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an error of the block the name of its file: a write of an open one (a disk that is full) has none.

    Raises:
        OSError: the same, with the name.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
