"""The file of a sweep: what is kept, what is refused, and how a sweep goes on from it."""

import json
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from stockade.lab.errors import LabError
from stockade.lab.model.contender import Contender
from stockade.lab.sweeps.machine import machine
from stockade.lab.sweeps.plan import SweepPlan
from stockade.lab.sweeps.reading import read_sweep
from stockade.lab.sweeps.sample import Sample
from stockade.lab.sweeps.sweep import Sweep
from stockade.lab.sweeps.sweep_file import SweepFile
from tests.lab.sweeps.made_up import CODE, ENVIRONMENT, made_document, points, sample

NAMES = ("unprotected", "optimistic", "pessimistic")
WALLS = {"optimistic": [10, 10], "pessimistic": [20, 20]}


def plan_of(repeats=7, values=(5, 30), names=NAMES, **setting):
    contenders = [Contender.parse(name) for name in names]
    return SweepPlan(points("buyers", values, **setting), contenders, repeats=repeats)


@pytest.fixture
def file(tmp_path):
    """A file with seven rounds of two points."""
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps(made_document("buyers", (5, 30), WALLS)))
    return path


def test_every_raw_sample_comes_back(file):
    """What is read and written again is what was there."""
    before = json.loads(file.read_text())
    read = SweepFile(file, plan_of(), CODE)
    assert sum(map(len, read.samples.values())) == 2 * 3 * 7
    read.write(Sweep(plan_of(), read, CODE).document())
    after = json.loads(file.read_text())
    assert after["sweep"]["points"] == before["sweep"]["points"]
    assert after["sweep"]["complete"]
    assert after["environment"] == ENVIRONMENT


def test_a_sweep_goes_on_with_what_is_missing(file):
    """More rounds and more values may be asked for; finished turns are not played again."""
    assert Sweep(plan_of(), SweepFile(file, plan_of(), CODE), CODE).turns_left == 0
    more = plan_of(repeats=9)
    longer = Sweep(more, SweepFile(file, more, CODE), CODE)
    assert longer.turns_left == 2 * 2 * 3
    assert not longer.missing(6)
    assert len(longer.missing(7)) == 6
    wider = plan_of(values=(5, 30, 60))
    assert Sweep(wider, SweepFile(file, wider, CODE), CODE).turns_left == 7 * 3


def test_a_sample_that_is_missing_in_the_middle_is_played(file):
    """A round of which one strategy has no sample is not complete."""
    document = json.loads(file.read_text())
    taken = document["sweep"]["points"][1]["samples"]
    taken[:] = [each for each in taken if each["round"] != 3]
    file.write_text(json.dumps(document))
    sweep = Sweep(plan_of(), SweepFile(file, plan_of(), CODE), CODE)
    assert [(point.id, each.name) for point, each in sweep.missing(3)] == [("buyers=5", "optimistic")]
    assert not sweep.document()["sweep"]["complete"]


@pytest.mark.parametrize(
    ("plan", "code", "says"),
    [
        (plan_of(names=("unprotected", "sequencer")), CODE, "another sweep .strategies"),
        (plan_of(), {**CODE, "code": "changed"}, "another sweep .code made up, now changed"),
        (plan_of(pool=9), CODE, "buyers=5 was measured in another setting"),
    ],
)
def test_the_file_of_another_sweep_is_refused(file, plan, code, says):
    """Samples of other strategies, other code or another setting are not mixed with these."""
    before = file.read_bytes()
    with pytest.raises(LabError, match=says):
        SweepFile(file, plan, code)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": "stockade.lab/3"}', '{"schema": "stockade.lab/1", "sweep": {}}', "\x00"]
)
def test_what_is_no_sweep_is_refused(tmp_path, text):
    """An empty file is a new one; anything else is named and left as it is."""
    path = tmp_path / "other.json"
    path.write_text(text)
    if not text:
        assert not SweepFile(path, plan_of(), CODE).samples
        return
    with pytest.raises(LabError, match="is not the document of a sweep"):
        SweepFile(path, plan_of(), CODE)
    assert path.read_text() == text


def test_another_machine_is_refused(file):
    """Samples of two machines cannot be compared."""
    read = SweepFile(file, plan_of(), CODE)
    read.check_machine({**ENVIRONMENT, "date": "later"})
    with pytest.raises(LabError, match="measured with cpu_count 2, here is 64"):
        read.check_machine({**ENVIRONMENT, "cpu_count": 64})


def test_another_machine_of_the_same_kind_is_refused(tmp_path):
    """Two with the same system and number of processors differ in their id, or their processor, or their memory."""
    own, other, cpu = tmp_path / "own", tmp_path / "other", tmp_path / "cpu"
    own.write_text("0f" * 16 + "\n")
    other.write_text("0e" * 16 + "\n")
    cpu.write_text("processor\t: 0\nmodel name\t: Made Up 9\n")
    here = machine(own, cpu)
    assert here["cpu_model"] == "Made Up 9"
    assert here["memory_gib"] > 0
    assert "0f0f" not in str(here)
    path = tmp_path / "sweep.json"
    document = made_document("buyers", (5, 30), WALLS)
    path.write_text(json.dumps({**document, "environment": {**ENVIRONMENT, **here}}))
    read = SweepFile(path, plan_of(), CODE)
    read.check_machine({**ENVIRONMENT, **machine(own, cpu)})
    for there in (machine(other, cpu), {**here, "cpu_model": "Made Up 8"}, {**here, "memory_gib": 1_000_000}):
        with pytest.raises(LabError, match=r"measured with (machine|cpu_model|memory_gib)"):
            read.check_machine({**ENVIRONMENT, **there})
    assert machine(tmp_path / "absent", tmp_path / "absent")["machine"] == ""


def test_a_file_of_before_is_read():
    """It says `repeat` for the round, and not how many orders could have been accepted."""
    values = sample(3, untimed_violations=("oversell",)).as_json()
    assert Sample.from_json(values) == sample(3, untimed_violations=("oversell",))
    values["repeat"] = values.pop("round")
    del values["expected"], values["untimed_violations"]
    assert Sample.from_json(values) == sample(3, expected=None)


def test_a_reader_gets_the_rate_that_was_printed():
    """The time of a burst of 30 orders keeps enough digits. The control: microseconds give another rate."""
    values = replace(sample(3), wall_ms=2.0404567).as_json()
    printed = sample(3).decided / 2.0404567 * 1e3
    assert round(Sample.from_json(values).decided_s, 1) == round(printed, 1)
    assert round(Sample.from_json({**values, "wall_ms": 2.04}).decided_s, 1) != round(printed, 1)


def test_a_write_that_fails_leaves_the_old_document(file):
    """The new document takes the old one's place only when it is whole."""
    before = file.read_bytes()
    read = SweepFile(file, plan_of(), CODE)
    with pytest.raises(TypeError):
        read.write({"cannot be written": object()})
    assert file.read_bytes() == before


WRITER = """
import os, signal, sys
from pathlib import Path
from stockade.lab.sweeps.plan import SweepPlan
from stockade.lab.sweeps.sweep_file import SweepFile

class Half:
    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        raise AssertionError("it was not killed")

    def write(self, text):
        data = text if isinstance(text, bytes) else text.encode()
        os.write(self.file.fileno(), data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

file, opened = SweepFile(None, SweepPlan((), ()), {}), Path.open
file.path = Path(sys.argv[1])
Path.open = lambda path, *how, **more: Half(opened(path, *how, **more))
if sys.argv[2] == "in one step":
    file.write({"values": [1, 2, 3]})
else:
    with file.path.open("w") as half:
        half.write("[1, 2, 3]")
"""


@pytest.mark.parametrize(("how", "whole"), [("in one step", True), ("in place", False)])
def test_sigkill_in_the_middle_of_writing_leaves_the_old_document(file, how, whole):
    """A writer that writes in place leaves half of the new one."""
    before = file.read_bytes()
    done = subprocess.run([sys.executable, "-c", WRITER, str(file), how], capture_output=True, timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (file.read_bytes() == before) == whole


def test_a_document_says_what_it_lacks():
    """The reader's error names the member, and a strategy that there is not."""
    document = made_document("buyers", (5, 30), WALLS)
    assert read_sweep(document).results[0].samples[0] == sample(wall_ms=50.0, violations=("oversell",))
    document["sweep"]["points"][0]["strategy"] = "optimist"
    with pytest.raises(ValueError, match="unknown strategy"):
        read_sweep(document)
    del document["sweep"]["points"]
    with pytest.raises(ValueError, match="no member 'points'"):
        read_sweep(document)
