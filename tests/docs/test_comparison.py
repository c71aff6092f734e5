"""docs/comparison.md: written from documents, with where its figures come from, and small."""

import json
import re

import pytest

from stockade.lab.report.build import build
from stockade.strategies import registry
from tests.docs import comparison
from tests.lab.report.documents import lab_document, run, source

MOST_BYTES = 1_000_000


def test_the_page_says_where_its_figures_come_from():
    """Command, date, machine, versions and commit of every file, and every strategy; the files are the command's."""
    text = comparison.PAGE.read_text()
    origins = " ".join(text.partition("## Where the figures come from")[2].split()).split("- `")[1:]
    names = [each.partition("`")[0] for each in origins]
    assert names == list(comparison.MEASUREMENTS)
    assert len(set(re.findall(r"commit ([0-9a-f]{7,})", " ".join(origins)))) == 1
    for each in origins:
        assert re.search(r"command `stockade lab [^`]+`; date 20\d\d-\d\d-\d\dT[\d:+]+; machine .+, \d+ cores;", each)
        assert re.search(r"versions stockade .+, Python 3\.\d+\.\d+, .+; commit [0-9a-f]{7,}; seed", each)
    table = text.partition("## How the times are distributed")[0]
    assert not [name for name in registry.names() if f"| {name}" not in table]


def test_its_pictures_are_there_and_small():
    """Each one that the page shows, no other, and all together with the page below a megabyte."""
    shown = re.findall(r"\]\((comparison/[^)]+\.svg)\)", comparison.PAGE.read_text())
    files = sorted(comparison.FOLDER.iterdir())
    assert sorted(shown) == [f"{comparison.FOLDER.name}/{path.name}" for path in files]
    assert comparison.PAGE.stat().st_size + sum(path.stat().st_size for path in files) < MOST_BYTES


def test_a_page_of_other_documents(tmp_path, monkeypatch):
    """Files that are named are shown as they are; pictures of the page before are removed."""
    monkeypatch.setattr(comparison, "ROOT", tmp_path)
    monkeypatch.setattr(comparison, "PAGE", tmp_path / "comparison.md")
    monkeypatch.setattr(comparison, "FOLDER", tmp_path / "comparison")
    comparison.FOLDER.mkdir()
    (comparison.FOLDER / "old.svg").touch()
    found = lab_document(run("sequencer", 10.0), run("pessimistic", 30.0, verdict="broken"))
    (tmp_path / "lab.json").write_text(json.dumps(found))
    comparison.main([f"{tmp_path / 'lab.json'}@0123abc"])
    text = comparison.PAGE.read_text()
    assert text.startswith("# A comparison, measured\n\nThis page is a [report](report.md)")
    assert "commit 0123abc (as named with the file)" in text
    assert "**A promise was broken:** by pessimistic (broken)." in text
    assert "old.svg" not in {path.name for path in comparison.FOLDER.iterdir()}
    assert len(list(comparison.FOLDER.iterdir())) == 5


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Function: words of git in a checkout with one commit, of which the page is."""
    monkeypatch.setattr(comparison, "ROOT", tmp_path / "checkout")
    monkeypatch.setattr(comparison, "MEASUREMENTS", {"lab.json": ("--json", "lab.json"), "claims.json": ("claims",)})
    comparison.ROOT.mkdir()
    comparison.git("init", "-q")
    comparison.git("config", "user.name", "tests")
    comparison.git("config", "user.email", "tests@example.org")
    comparison.git("commit", "-q", "--allow-empty", "-m", "one")
    return comparison.git


def measuring(happens=lambda: None):
    """Instead of the lab: writes the file; something happens while the second one is measured."""

    def lab(words, folder):
        name = next(name for name, each in comparison.MEASUREMENTS.items() if each == words)
        (folder / name).write_text("{}")
        if name == "claims.json":
            happens()
        return 0

    return lab


def test_all_figures_are_of_the_commit_that_was_checked_out(checkout, tmp_path):
    """Each file has it, as it was before the first measurement."""
    commit = checkout("rev-parse", "--short=10", "HEAD").strip()
    found = comparison.measure(tmp_path, measuring())
    assert found == [f"{tmp_path / name}@{commit}" for name in ("lab.json", "claims.json")]


def test_a_commit_while_the_page_is_measured_is_refused(checkout, tmp_path):
    """Half of the figures would be of the one before."""
    lab = measuring(lambda: checkout("commit", "-q", "--allow-empty", "-m", "two"))
    with pytest.raises(SystemExit, match=r"the commit changed from \w+ to \w+ while claims.json was measured"):
        comparison.measure(tmp_path, lab)


def test_changes_are_refused(checkout, tmp_path):
    """Those that are there, before anything is measured, and those that are made meanwhile."""
    lab = measuring((comparison.ROOT / "new.py").touch)
    with pytest.raises(SystemExit, match=r"changes that are in no commit: .* new\.py"):
        comparison.measure(tmp_path, lab)
    with pytest.raises(SystemExit, match="changes that are in no commit"):
        comparison.measure(tmp_path, lambda words, folder: pytest.fail("measured"))


def test_no_machine_is_named(tmp_path):
    """Files are named without their folders."""
    report = build([source(tmp_path, lab_document(run()))])
    assert str(tmp_path) not in comparison.text_of(report)
