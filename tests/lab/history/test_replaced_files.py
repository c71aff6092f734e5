"""Files that take the place of another one: only a regular file is replaced, and an error names its file."""

import json
import os
import resource
import socket
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stockade.cli import app
from stockade.cli.lab.common import check_target
from stockade.lab.errors import LabError
from stockade.lab.history.history_file import read_history, write_history
from stockade.lab.ring.cell import Cell, CellResult
from stockade.lab.ring.expectation import HELD
from stockade.lab.ring.state_file import StateFile
from stockade.lab.whole_file import replacing
from tests.lab.checkers.good_histories import good

LEAST_BYTES = 4_096  # that a file may grow to where the disk is "full"


def made(kind, path):
    """Something of this kind at the path."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as there:
            there.bind(str(path))
    elif kind == "symbolic link":
        path.symlink_to("/dev/null")
    else:
        path.mkdir()
    return path.lstat().st_mode


@pytest.mark.parametrize("kind", ["pipe", "socket", "symbolic link", "folder"])
def test_what_is_no_regular_file_is_never_replaced(kind, tmp_path, monkeypatch):
    """Refused, at the target and at the file beside it that is renamed; what is there stays."""
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    for name in ("h", "other.part"):
        path = tmp_path / name
        mode = made(kind, path.relative_to(tmp_path))
        with pytest.raises(LabError, match=f"{name}: is a {kind}"):
            write_history(good(1), tmp_path / name.removesuffix(".part"))
        assert path.lstat().st_mode == mode


def test_a_regular_file_is_replaced(tmp_path):
    """The control: so is what was there before, in one step."""
    (tmp_path / "h").write_text("old")
    with replacing(tmp_path / "h") as file:
        file.write(b"new")
        assert (tmp_path / "h").read_text() == "old"
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("h", "new")]


@pytest.mark.parametrize("words", [("record", "--history"), ("sweep", "--json")], ids=lambda words: words[0])
def test_the_commands_refuse_what_is_beside_it_too(words, tmp_path):
    """The file that is written first, and then renamed: also before they begin."""
    made("pipe", tmp_path / "h.part")
    result = CliRunner().invoke(app, ["lab", *words, str(tmp_path / "h")])
    said = f"error: {words[-1]} {tmp_path / 'h.part'}: is a pipe, must be a file\n"
    assert (result.exit_code, result.output) == (2, said)


@pytest.mark.parametrize(
    "words",
    [("record", "--history"), ("sweep", "--json"), ("ring", "--list", "--state")],
    ids=lambda words: words[0],
)
def test_the_commands_refuse_it_before_they_begin(words, tmp_path):
    """Exit code 2 and one line with the option; the pipe stays."""
    mode = made("pipe", tmp_path / "pipe")
    result = CliRunner().invoke(app, ["lab", *words, str(tmp_path / "pipe")])
    said = f"error: {words[-1]} {tmp_path / 'pipe'}: is a pipe, must be a file\n"
    assert (result.exit_code, result.output) == (2, said)
    assert (tmp_path / "pipe").lstat().st_mode == mode


def test_a_device_is_no_place_for_finished_cells():
    """Nothing would be kept there."""
    with pytest.raises(LabError, match="--state /dev/null: is a device, must be a file"):
        StateFile(Path(os.devnull), {})


@pytest.mark.parametrize("text", ["", None], ids=["to a file", "to none yet"])
def test_a_state_may_be_a_link_to_a_regular_file(text, tmp_path):
    """It is added to and never renamed: the link stays, also where the disk is full, and one to a device is refused."""
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to(file)
    if text is not None:
        file.write_text(text)
    check_target(str(link), "--state", appended=True)
    with full_disk(LEAST_BYTES), pytest.raises(OSError, match=r"link'$"):
        StateFile(link, {"seed": "7" * LEAST_BYTES})
    assert (link.is_symlink(), file.exists()) == (True, text is not None)
    file.unlink(missing_ok=True)
    with StateFile(link, {"seed": 1}):
        assert json.loads(file.read_text())["seed"] == 1
    file.unlink()
    made("symbolic link", file)
    for refuses in (lambda: check_target(str(link), "--state", appended=True), lambda: StateFile(link, {})):
        with pytest.raises(LabError, match="is a device, must be a file"):
            refuses()


@contextmanager
def full_disk(most_bytes):
    """No file can grow beyond this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_no_half_and_names_the_file(tmp_path):
    """The history that was there is whole, and nothing else stays to fill the disk."""
    history = good(1)
    write_history(history, tmp_path / "h")
    with full_disk(LEAST_BYTES), pytest.raises(OSError, match=r"h'$") as caught:
        write_history(history, tmp_path / "h")
    assert caught.value.filename == str(tmp_path / "h")
    assert [each.name for each in tmp_path.iterdir()] == ["h"]
    assert read_history(tmp_path / "h") == history


def test_a_state_that_cannot_be_begun_leaves_nothing(tmp_path):
    """The error names the file, and no empty one stays; there is one where there is room."""
    path, settings = tmp_path / "state", {"seed": "7" * LEAST_BYTES}
    with full_disk(LEAST_BYTES), pytest.raises(OSError, match=r"state'$"):
        StateFile(path, settings)
    assert not path.exists()
    with StateFile(path, settings):
        assert json.loads(path.read_text())["seed"] == settings["seed"]


def test_a_state_that_cannot_be_begun_is_removed_before_another_ring_can_use_it(tmp_path, monkeypatch):
    """Afterwards it would be the file of the other one."""
    path, unlink, said = tmp_path / "state", Path.unlink, []

    def tried(file, **options):
        with pytest.raises(LabError, match="another ring uses it") as caught:
            StateFile(path, {})
        said.append(str(caught.value))
        unlink(file, **options)

    monkeypatch.setattr(Path, "unlink", tried)
    with full_disk(LEAST_BYTES), pytest.raises(OSError, match=r"state'$"):
        StateFile(path, {"seed": "7" * LEAST_BYTES})
    assert (len(said), path.exists()) == (1, False)


def test_a_result_that_cannot_be_kept_names_the_file(tmp_path):
    """Also where the file is closed then, with what could not be written; the cell is played again."""
    path = tmp_path / "state"
    cell = Cell("sqlite", "optimistic", (), "hot")
    result = CellResult(cell, 7, HELD, HELD, (), {}, 1.5, "", "7" * LEAST_BYTES)
    with full_disk(LEAST_BYTES), pytest.raises(OSError, match=r"state'$") as caught, StateFile(path, {}) as state:
        state.add(result)
    assert caught.value.filename == str(path)
    with StateFile(path, {}) as state:
        assert state.finished == {}
        state.add(result)
    with StateFile(path, {}) as state:
        assert state.finished == {cell.id: result}
