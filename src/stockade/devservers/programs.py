"""Finds a server's program: environment variable, PATH, Debian's folders, unpacked Debian package, Python wheel.

The first match wins, so that a program that the user installed has priority.
"""

import importlib.util
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from stockade.devservers.errors import ServerUnavailable
from stockade.devservers.launch import Program


def cache_folder() -> Path:
    """The folder for downloads: `.stockade/` of a checkout, or the user's cache for an installed package."""
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "pyproject.toml").is_file() and (checkout / "src" / "stockade").is_dir():
        return checkout / ".stockade"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stockade"


def wheel_files(package: str, pattern: str) -> list[Path]:
    """Files of an installed Python package that match, without importing it."""
    spec = importlib.util.find_spec(package)
    roots = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    return [hit for root in roots for hit in sorted(root.glob(pattern))]


def find_program(variable: str, names: Sequence[str], others: Sequence[Program]) -> Program | None:
    """The first program that exists.

    Args:
        variable: environment variable that names the file; it has priority.
        names: searched on PATH and in the sbin folders, which a normal user's PATH lacks.
        others: further places, best first.

    Raises:
        ServerUnavailable: the variable names a file that does not exist.
    """
    if own := os.environ.get(variable):
        if not os.access(own, os.X_OK):
            raise ServerUnavailable(f"{variable}={own} is not a program")
        return _named(Path(own), names)
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
    for name in names:
        if hit := shutil.which(name, path=path):
            return _named(Path(hit).resolve(), names)
    return next((program for program in others if program.path.is_file()), None)


def unpacked(inside: str, name: str = "") -> list[Program]:
    """A program in the Debian packages that `./stockade test` unpacks without root, with its libraries."""
    root = cache_folder() / "debian"
    return [Program(root / inside, name, libraries) for libraries in root.glob("usr/lib/*-linux-gnu")]


def _named(path: Path, names: Sequence[str]) -> Program:
    """The program under one of its names: Debian's redis-server is a link to a file that behaves by its name."""
    return Program(path, "" if path.name in names else names[0])
