"""The wheel as users get it, and fresh environments to install it in. Neighbour: `tests/conftest.py` has the fixtures.

Hatchling, the build backend of `pyproject.toml`, runs here without a network; environments come from uv.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
INSTALL_S = 170.0


def build_wheel(folder):
    """Build the wheel of this checkout into a folder; its path."""
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT)
    (found,) = Path(folder).glob("*.whl")
    return found


def run(command, *, wait_s=INSTALL_S, **options):
    """Run a command; its standard output. A failure shows everything that it said."""
    done = subprocess.run(
        [str(word) for word in command], text=True, capture_output=True, timeout=wait_s, check=False, **options
    )
    assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def uv(*words, **options):
    """Run uv as `./stockade` does: with the Python that is there; its standard output."""
    from uv import find_uv_bin

    settings = {"UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "1"}
    return run([find_uv_bin(), *words], env=clean_environment() | settings, **options)


def clean_environment():
    """The variables of this process without those that would lead another Python here."""
    ours = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    return {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("STOCKADE_")}


class Environment:
    """A virtual environment.

    Args:
        folder: where it is, or will be after `make`.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.bin = self.folder / "bin"
        self.python = self.bin / "python"

    def make(self, python=sys.executable, *, pip=False):
        """Make it, where nothing is yet; itself.

        Args:
            python: path or version for uv; default: the Python that runs the tests.
            pip: install pip too.
        """
        uv("venv", "-q", "--python", python, *(["--seed"] if pip else []), self.folder)
        return self

    def install(self, *words):
        """Install packages with uv; words go to `uv pip install`."""
        uv("pip", "install", "-q", "--python", self.python, *words)

    def run(self, program, *words, **options):
        """Run a program of the environment in its own folder; its standard output."""
        return run([self.bin / program, *words], **{"env": clean_environment(), "cwd": self.folder} | options)

    def packages(self):
        """What is installed: name -> version."""
        code = "from importlib.metadata import distributions as d; print(*(f'{x.name}=={x.version}' for x in d()))"
        return dict(pair.split("==") for pair in self.run("python", "-Ic", code).split())
