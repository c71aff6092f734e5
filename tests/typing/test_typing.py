"""A user's code against the public API, and the code of the how-to pages, pass mypy --strict and basedpyright.

A line of `tests/typing/*.py` with two ignores must be refused by both: an ignore that is not needed is an error.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import blocks

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
PAGES = {
    "seats.py": "how-to/own-tables.md",
    "single_file.py": "how-to/add-a-strategy.md",
    "app.py": "how-to/lock-in-fastapi.md",
}
PYRIGHT = """\
[tool.basedpyright]
typeCheckingMode = "strict"
reportUnnecessaryTypeIgnoreComment = "error"
reportUnusedFunction = "none"
enableTypeIgnoreComments = false
pythonVersion = "3.11"
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder as a user's project: the programs of this folder and of the pages."""
    folder = tmp_path_factory.mktemp("user")
    for path in HERE.glob("locks_*.py"):
        (folder / path.name).write_text(path.read_text())
    for name, page in PAGES.items():
        (folder / name).write_text("\n".join(blocks(page, "python")))
    (folder / "pyproject.toml").write_text(PYRIGHT)
    return folder


def _passes(project, *command):
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_accepts_what_users_write(project):
    """`mypy --strict` finds nothing, and needs every ignore."""
    python = ["--python-executable", sys.executable, "--python-version", "3.11"]
    _passes(project, BIN / "mypy", "--strict", *python, "--enable-error-code", "ignore-without-code", ".")


def test_pyright_accepts_what_users_write(project):
    """basedpyright finds nothing, and needs every ignore."""
    _passes(project, BIN / "basedpyright", "--pythonpath", sys.executable, "--level", "error", ".")
