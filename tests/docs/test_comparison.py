"""docs/comparison.md: written from documents, with where its figures come from, and small."""

import json
import re

from stockade.lab.report.build import build
from stockade.strategies import registry
from tests.docs import comparison
from tests.lab.report.documents import lab_document, run, source

MOST_BYTES = 1_000_000


def test_the_page_says_where_its_figures_come_from():
    """Command, date, machine, versions and commit of every file, and every strategy."""
    text = comparison.PAGE.read_text()
    origins = " ".join(text.partition("## Where the figures come from")[2].split()).split("- `")[1:]
    assert len(origins) == len(comparison.MEASUREMENTS)
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
    assert "commit 0123abc" in text
    assert "**A promise was broken:** by pessimistic (broken)." in text
    assert "old.svg" not in {path.name for path in comparison.FOLDER.iterdir()}
    assert len(list(comparison.FOLDER.iterdir())) == 5


def test_no_machine_is_named(tmp_path):
    """Files are named without their folders."""
    report = build([source(tmp_path, lab_document(run()))])
    assert str(tmp_path) not in comparison.text_of(report)
