"""Temporary folders: a process that is killed leaves its own, and the next one removes it, never that of the living."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import stockade.lab
from stockade.devservers import workdir
from stockade.devservers.workdir import OwnedFolder, sweep
from stockade.lab.site.tools import no_small_disk

SOURCES = Path(stockade.lab.__file__).parents[2]
LAB = """
import sys
from pathlib import Path
from stockade.devservers.workdir import OwnedFolder
from stockade.lab.site.disk import SmallDisk
mine = [OwnedFolder(kind, Path(sys.argv[1])) for kind in ("events", "clock")]
disks = [SmallDisk()] if sys.argv[2] else []
for each in disks:
    (each.path / "data").write_text("x")
print(*(each.path for each in mine), *(each.path for each in disks), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def lab(tmp_path):
    """A process with the folders of a recording, and their paths."""
    words = [sys.executable, "-c", LAB, str(tmp_path), "" if no_small_disk() else "with a disk"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        yield process, [Path(path) for path in process.stdout.readline().split()]
        process.kill()


def test_what_a_killed_process_leaves_is_removed(lab, tmp_path):
    """Folders, and a file system that is mounted in one; while the process lives nobody touches them."""
    process, folders = lab
    sweep(tmp_path)
    sweep(Path("/tmp"))
    assert all(folder.exists() for folder in folders)
    process.kill()
    process.wait()
    OwnedFolder("next", tmp_path).close()
    sweep(Path("/tmp"))
    assert not [folder for folder in folders if folder.exists()]
    assert not [folder for folder in folders if str(folder) in Path("/proc/mounts").read_text()]
    assert list(tmp_path.iterdir()) == []


def test_folders_of_nobody_and_of_the_living_stay(tmp_path):
    """One without an owner's lock may be anyone's; a closed one is gone at once, and closing again does nothing."""
    (tmp_path / "stockade-other").mkdir()
    (tmp_path / "stockade-file").touch()
    mine = OwnedFolder("events", tmp_path)
    (mine.path / "events").write_text("x")
    sweep(tmp_path)
    assert (mine.path / "events").exists()
    mine.close()
    mine.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["stockade-file", "stockade-other"]


def test_a_sweep_is_bounded(tmp_path, monkeypatch):
    """What is left of many folders is removed the next time."""
    monkeypatch.setattr(workdir, "_MOST_SWEPT", 2)
    for number in range(3):
        folder = tmp_path / f"stockade-{number}"
        folder.mkdir()
        (folder / "owner").touch()
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    sweep(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_lab_makes_its_folders_with_an_owner():
    """A folder of another kind would stay for ever once its process was killed."""
    texts = {path: path.read_text() for path in (SOURCES / "stockade" / "lab").rglob("*.py")}
    assert not [path for path, text in texts.items() if "mkdtemp" in text or "TemporaryDirectory" in text]
