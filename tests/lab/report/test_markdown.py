"""Markdown, and the command: it writes HTML, Markdown and pictures, and says in one line what it cannot do."""

import json
import sys

import pytest
from typer.testing import CliRunner

from stockade.cli import app
from stockade.lab.report.build import build
from stockade.lab.report.markdown import code, escape, markdown
from tests.lab.report.documents import claims_document, deadlock, lab_document, run, source

EVIL = "a|b `c` <script>*x*</script> [x](javascript:alert(1)) ![y](z)\n# head & \\"


@pytest.fixture
def report(tmp_path):
    """Function: words -> (exit code, everything printed)."""

    def call(*words):
        result = CliRunner().invoke(app, ["lab", "report", *map(str, words)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return call


@pytest.fixture
def document(tmp_path):
    """A document of two strategies in a file."""
    file = tmp_path / "lab.json"
    file.write_text(json.dumps(lab_document(run("sequencer", 10.0), run("unprotected", 20.0))))
    return file


def test_names_of_strangers_are_only_text(tmp_path):
    """No tag, no link, no picture, no heading and no further cell comes from a document."""
    text = markdown(
        build([source(tmp_path, lab_document(run(), run(EVIL, preset=EVIL))), source(tmp_path, deadlock())])
    )
    assert "<script" not in text
    assert "](javascript" not in text
    assert "\n# head" not in text
    for line in text.splitlines():
        if line.startswith("|") and "&#96;c" in line:
            assert line.count("|") == next(n for n in (11, 10, 6, 5, 8) if line.count("|") == n)
    heads = [line for line in text.splitlines() if line.startswith("|")]
    assert heads


@pytest.mark.parametrize("letter", list("`*[]|\\<>&~"))
def test_each_letter_that_means_something_is_escaped(letter):
    """It is shown as it is."""
    assert escape(f"{letter}b>").startswith("&")


def test_plain_words_stay_readable():
    """What means nothing is not escaped."""
    for text in ("redis-pubsub, OUT_OF_STOCK", "Kafka 377 < lock 527", "a & b", "sum(ledger) = balance!"):
        assert escape(text) == text


def test_code_that_cannot_be_code_is_escaped():
    """A backtick or a bar ends no code."""
    assert code("redis-spin:bare") == "`redis-spin:bare`"
    assert "`" not in code("a`b|c")


def test_lines_of_prose_wrap(tmp_path):
    """At 119 columns, but for tables and listings."""
    text = markdown(build([source(tmp_path, lab_document()), source(tmp_path, claims_document(), "c.json")]))
    prose = [line for line in text.splitlines() if not line.startswith(("|", "    "))]
    assert not [line for line in prose if len(line) > 120 and " " in line.strip(" -")]


def test_the_command_writes_what_is_asked(report, document, tmp_path):
    """HTML to a file or to standard output, Markdown with pictures beside it."""
    code_, said = report(document, "-o", tmp_path / "r.html")
    assert (code_, said) == (0, f"{tmp_path / 'r.html'}: 5 sections, 5 charts\n")
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    code_, said = report(f"{document}@0123abc", "-o", tmp_path / "r.md", "--pictures", tmp_path / "pictures")
    assert code_ == 0
    assert said.endswith(f"10 pictures in {tmp_path / 'pictures'}\n")
    text = (tmp_path / "r.md").read_text()
    assert "commit 0123abc" in text
    addresses = [line.rpartition("](")[2].rstrip(")") for line in text.splitlines() if "](pictures/" in line]
    assert len(addresses) == 5
    for address in addresses:
        drawn = (tmp_path / address).read_text()
        assert drawn.startswith("<svg xmlns=")
        assert "prefers-color-scheme:dark" in drawn
        assert (tmp_path / address).with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_what_it_cannot_do_is_one_line(report, document, tmp_path, monkeypatch):
    """Exit code 2: no document, another kind of file, a folder that is a file, the library that is missing."""
    (tmp_path / "bad.json").write_text("{}")
    cases = [
        ((tmp_path / "none.json",), "there is no such file"),
        ((tmp_path / "bad.json",), "names no schema"),
        ((document, "-o", tmp_path / "r.pdf"), "must end with .html or .md"),
        ((document, "-o", tmp_path / "none" / "r.html"), "there is no folder"),
        ((document, "--pictures", document), "is a file, must be a folder"),
    ]
    monkeypatch.chdir(tmp_path)
    for words, says in cases:
        code_, said = report(*words)
        assert code_ == 2
        assert says in said
        assert said.startswith("error: ")
        assert said.count("\n") == 1
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    code_, said = report(document, "-o", tmp_path / "r.html")
    assert code_ == 2
    assert said == "error: charts need a library that is not installed: pip install 'stockade[charts]'\n"
    assert not (tmp_path / "r.html").exists()
    assert report(document, "-o", tmp_path / "r.md")[0] == 0
