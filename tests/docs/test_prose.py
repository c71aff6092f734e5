"""Every Markdown file of the project: its width, its links inside the repository, its words, and its Python."""

import ast
import importlib
import importlib.util
import re
import unicodedata

import pytest

from tests.docs.blocks import blocks
from tests.docs.site import ROOT
from tests.test_tidy import tracked

COLUMNS = 120
PRIVATE = {  # words that only the founders understand, or that stand for a standard term
    "the reports by number": r"\b[Ss]eed[ -]0\d\d\b|\bseeds\b",
    "milestones, invariants and defects by number": r"\b(M[0-9]|I[1-9]|[AB][1-9][0-9]?)\b",
    "theatre": r"\b(told|tells|heard|hears|flying|departed|landed|bites|crew)\b",
}
FOREIGN = ("CHANGELOG.md", "LICENSE")  # the changelog keeps the words of its day


def width(line):
    """The columns of a line; an East Asian character takes two."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in line)


def prose(text):
    """The lines outside code blocks and tables, as (number, line)."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith(("|", "    ")):
            yield number, line


def pages():
    """Every Markdown file but the changelog."""
    return [path for path in tracked("*.md") if path not in FOREIGN and not (ROOT / path).is_symlink()]


@pytest.mark.parametrize("path", pages())
def test_prose_wraps(path):
    """A line of prose has at most 120 columns, unless it is one word that cannot be wrapped."""
    lines = prose((ROOT / path).read_text())
    wide = [number for number, line in lines if width(line) > COLUMNS and " " in line.strip(" -*")]
    assert not wide


@pytest.mark.parametrize("path", pages())
def test_no_word_is_private(path):
    """A page cites only what its reader can open, and uses the field's terms."""
    found = [
        f"{number}: {hit[0]} ({why})"
        for number, line in prose((ROOT / path).read_text())
        for why, pattern in PRIVATE.items()
        for hit in re.finditer(pattern, re.sub(r"`[^`]*`", "", line))
    ]
    assert not found


@pytest.mark.parametrize("text", ["as seed 004 does", "see M2", "defects A4, B8", "the caller is told so"])
def test_a_private_word_is_found(text):
    """The search for such words finds each kind."""
    assert any(re.search(pattern, text) for pattern in PRIVATE.values())


@pytest.mark.parametrize("path", [path for path in pages() if "/" not in path])
def test_no_link_of_a_page_outside_the_site_is_dead(path):
    """README and its neighbours link to files that there are, and to headings that these have."""
    for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / path).read_text()):
        name, _, anchor = target.partition("#")
        if re.match(r"\w+:", target):
            continue
        assert (ROOT / name).is_file(), target
        assert not anchor or anchor in headings((ROOT / name).read_text()), target


def headings(text):
    """The anchors of a page, as GitHub and the site make them."""
    lines = [line.lstrip("#").strip().lower() for _, line in prose(text) if line.startswith("#")]
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", line)) for line in lines}


@pytest.mark.parametrize("path", [path for path in pages() if blocks((ROOT / path).read_text(), "python")])
def test_python_in_pages_is_python(path):
    """Each Python block of a page compiles, with `await` allowed outside of a function."""
    for text in blocks((ROOT / path).read_text(), "python"):
        compile(text, path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


ELSEWHERE = {"docs/strategies/single-file.md", "test_at_fork_reinit"}  # a reader's page, and a test of CPython
CODE = "".join(text for path in tracked("*.py") if (text := (ROOT / path).read_text()))


@pytest.mark.parametrize("path", pages())
def test_what_a_page_names_is_there(path):
    """Files, folders, tests and modules that a page names in code exist."""
    outside_blocks = re.sub(r"^```.*?^```$", "", (ROOT / path).read_text(), flags=re.MULTILINE | re.DOTALL)
    spans = set(re.findall(r"`([^`\n]+)`", outside_blocks))
    gone = [span for span in spans if span not in ELSEWHERE and not is_there(span)]
    assert not gone


def is_there(span):
    """Whether what a code span names exists; a span that names nothing of the repository does."""
    if re.fullmatch(r"(tests|benchmarks|src|docs|requirements)/[\w./-]+", span):
        return (ROOT / span).exists()
    if re.fullmatch(r"test_\w+…?", span):
        return re.search(rf"def {span.rstrip('…')}", CODE) is not None
    if re.fullmatch(r"stockade(\.[a-z_]+)+", span) and not re.search(r"\.(db|toml|events|commands|lab|service)$", span):
        parent, _, name = span.rpartition(".")
        return importlib.util.find_spec(span) is not None or hasattr(importlib.import_module(parent), name)
    return True


@pytest.mark.parametrize("span", ["tests/nothing.py", "test_nothing_of_the_kind_…", "stockade.core.nothing"])
def test_what_is_not_there_is_found(span):
    """The search finds a file, a test and a module that do not exist."""
    assert not is_there(span)
