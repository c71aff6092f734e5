"""The commit whose code runs here, where stockade runs from a checkout of git.

Documents have it in the version of stockade, as a local version identifier (PEP 440): `0.1.0+g1234abcdef`, and
`0.1.0+g1234abcdef.dirty` if files of the package differ from that commit. So no document has another member.
Neighbours: `environment.py` writes it, `lab/report` reads it.
"""

import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import stockade

PACKAGE: Final = Path(stockade.__file__).parent
GIT_WAIT_S: Final = 5.0  # a disk that hangs: a measurement does not wait for the name of its commit
DIGITS: Final = 10
CHANGED: Final = "with changes that are in no commit"
_LOCAL: Final = re.compile(r"\+g([0-9a-f]{7,40})(\.dirty)?$")


@cache
def local_version(package: Path = PACKAGE) -> str:
    """`+g` and the commit, with `.dirty` behind it if a file differs; empty: no checkout, or no git.

    It is read once: code that runs is that of its start, whatever is committed meanwhile.

    Args:
        package: the folder of the code.
    """
    # a package that is installed in a checkout of something else is not tracked there
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return ""
    found = _git(package, "status", "--porcelain=v2", "--branch", "--", ".")
    lines = found.splitlines() if found else []
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), "")
    if not re.fullmatch("[0-9a-f]{40,64}", commit):  # `(initial)`: nothing is committed yet
        return ""
    return f"+g{commit[:DIGITS]}{'.dirty' if any(not line.startswith('#') for line in lines) else ''}"


def commit_in(version: str) -> str:
    """The commit in a version of stockade, in words; empty: it names none."""
    found = _LOCAL.search(version)
    return "" if found is None else f"{found[1]}{f', {CHANGED}' if found[2] else ''}"


def without_commit(version: str) -> str:
    """The same version without the commit."""
    return _LOCAL.sub("", version)


def _git(folder: Path, *words: str) -> str | None:
    """What git says; None: it cannot say it."""
    # a hook of git sets variables that name its own checkout
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=GIT_WAIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):  # no git, or none that answers: the commit stays unknown
        return None
    return done.stdout if done.returncode == 0 else None
