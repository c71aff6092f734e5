"""Our search, our versioned check and porcupine agree on right and wrong histories."""

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.linearizability.call import is_lock, unversioned_calls, versioned_calls
from stockade.lab.checkers.linearizability.export import exported
from stockade.lab.checkers.linearizability.models import lock, register
from stockade.lab.checkers.linearizability.search import Search, Verdict
from tests.lab.checkers.good_histories import good
from tests.lab.checkers.random_calls import random_lock, random_register, shuffled_versions

PROGRAM = Path(__file__).parent
BUILD_S = 100


@pytest.fixture(scope="session")
def porcupine(tmp_path_factory):
    """Function: file -> verdict by object. The program is built once."""
    if shutil.which("go") is None:
        pytest.skip("left out: porcupine (no go)")
    target = tmp_path_factory.mktemp("porcupine") / "porcupine"
    words = ["go", "build", "-o", str(target), "."]
    environment = {**os.environ, "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    try:
        built = subprocess.run(
            words, cwd=PROGRAM, env=environment, capture_output=True, text=True, timeout=BUILD_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"left out: porcupine (not built within {BUILD_S} s)")
    if built.returncode:
        said = built.stderr.strip().splitlines() or ["no reason"]
        if "main.go" in built.stderr:  # our program is wrong, not the machine
            pytest.fail(built.stderr)
        pytest.skip(f"left out: porcupine ({said[-1]})")

    def judge(path):
        done = subprocess.run([target, path], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in (0, 1), done.stderr
        return dict(each.rsplit(" ", 1) for each in done.stdout.splitlines())

    return judge


def ours(history):
    """Our verdict by object, by search."""
    indexed = IndexedHistory(history)
    found = {}
    for calls in unversioned_calls(indexed) or versioned_calls(indexed):
        found[calls.key] = Search(calls, lock if is_lock(calls) else register).run().verdict
    return found


@pytest.mark.parametrize(
    "make", [random_register, random_lock, shuffled_versions, good], ids=lambda make: make.__name__
)
def test_both_agree(porcupine, tmp_path, make):
    """On a hundred histories each verdict is the same; both kinds of verdict occur, but of right histories only one."""
    seen = set()
    for seed in range(100):
        history = make(random.Random(seed).randrange(2**32))
        path = tmp_path / "calls"
        path.write_bytes(b"".join(exported(history)))
        expected = {key: verdict.value for key, verdict in ours(history).items()}
        assert porcupine(path) == expected, seed
        seen |= set(expected.values())
    assert seen == ({"ok"} if make is good else {"ok", "violation"})
    assert Verdict.UNDECIDED.value not in seen
