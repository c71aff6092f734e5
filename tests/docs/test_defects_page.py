"""docs/defects.md: each defect of the two reports names tests, the tests exist, and no test of a defect is left out."""

import ast
import functools
import re

import pytest

from tests.docs.site import ROOT
from tests.test_tidy import tracked

TEXT = (ROOT / "docs" / "defects.md").read_text()
TEST = re.compile(r"^- `(tests/[\w/]+\.py)::(test_\w+)`$", re.MULTILINE)
FILES_OF_DEFECTS = (
    "tests/unit/shop/test_defects.py",
    "tests/contract/test_defects.py",
    "tests/http/test_reported_defects.py",
)


def defects(text=TEXT):
    """The named tests of each defect, as (file, test)."""
    return {part.partition("\n")[0]: TEST.findall(part) for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]}


@functools.cache
def collected_from(path):
    """The test functions that pytest collects from a file."""
    assert path in tracked("tests/*.py"), f"{path}: no such file"
    body = ast.parse((ROOT / path).read_text()).body
    return {
        each.name
        for each in body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith("test_")
    }


def test_each_defect_has_a_name_of_its_own_and_a_test():
    """Every heading is one defect, with a sentence and at least one test."""
    headings = re.findall(r"^### (.+)$", TEXT, re.MULTILINE)
    assert len(headings) == len(set(headings)) == len(defects())
    assert len(headings) >= 45
    assert [name for name, tests in defects().items() if not tests] == []


@pytest.mark.parametrize("name", defects())
def test_the_collected_from_a_defect_exist(name):
    """Each named test is in its file."""
    missing = [f"{path}::{test}" for path, test in defects()[name] if test not in collected_from(path)]
    assert not missing


def test_no_test_of_a_defect_is_left_out():
    """The files that hold tests of defects hold no test that the page does not name."""
    named = {(path, test) for tests in defects().values() for path, test in tests}
    there = {(path, test) for path in FILES_OF_DEFECTS for test in collected_from(path)}
    assert there <= named, there - named


def test_a_missing_test_is_noticed():
    """The control: a heading without a test, and a test that is not there."""
    found = defects("### One\nText.\n\n### Two\n- `tests/test_tidy.py::test_gone`\n")
    assert found == {"One": [], "Two": [("tests/test_tidy.py", "test_gone")]}
    assert "test_gone" not in collected_from("tests/test_tidy.py")
