"""Errors that the lab shows to its user as one line, and where code of users raised one."""

import sysconfig
import traceback
from pathlib import Path
from typing import Final

OWN: Final = str(Path(__file__).resolve().parent.parent)  # the package `stockade`
LIBRARY: Final = sysconfig.get_path("stdlib")
INSTALLED: Final = ("site-packages", "dist-packages")  # below the standard library, and no part of it


class LabError(Exception):
    """The lab cannot do what the options say; the message names the reason and what can be done."""


def raised_at(error: BaseException, file: str = "") -> str:
    """Where an error was raised in code of users: `FILE, line N`; empty where none of it took part.

    Args:
        error: that was raised.
        file: whose lines say more than those of other files; empty: none.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{shown(error.filename)}, line {error.lineno}"
    frames = [each for each in traceback.extract_tb(error.__traceback__) if _of_users(each.filename)]
    best = [each for each in frames if each.filename == file] or frames
    return f"{shown(best[-1].filename)}, line {best[-1].lineno}" if best else ""


def described(error: BaseException, file: str = "") -> str:
    """An error with its type and its place.

    Args:
        error: that was raised.
        file: see `raised_at`.
    """
    where, text = raised_at(error, file), " ".join(str(error).split())
    return f"{type(error).__name__}{f': {text}' if text else ''}{f' ({where})' if where else ''}"


def shown(file: str) -> str:
    """The path of a file, from the current folder where it is below that."""
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file


def _of_users(file: str) -> bool:
    if file.startswith("<") or Path(file).is_relative_to(OWN):
        return False
    return not Path(file).is_relative_to(LIBRARY) or any(each in file for each in INSTALLED)
