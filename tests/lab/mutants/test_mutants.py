"""Every planted bug is caught by the rule that is named for it, and without it the same histories are clean."""

import ast

import pytest

from tests.docs.site import ROOT
from tests.lab.mutants.table import BEGIN, END, MUTANTS, PAGE, TESTED

MOST_OPERATIONS = 2_000  # the smallest load of the lab


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught(mutant):
    """Its rule finds it within the smallest load; without it these seeds, and ten more, break nothing."""
    found = mutant.find()
    assert found is not None
    assert found.operations <= MOST_OPERATIONS
    assert not mutant.without(found.seed + 11)


def test_a_mutant_that_changes_nothing_is_not_caught():
    """The control of this file: the search itself invents no bug."""
    harmless = next(each for each in MUTANTS if each.name == "unprotected").control
    assert harmless.contender == "pessimistic"
    assert not type(MUTANTS[0])("nothing", "changes nothing", "version-chain", harmless).without(20)


@pytest.mark.parametrize("tested", TESTED, ids=lambda tested: tested.name)
def test_the_named_test_exists(tested):
    """A bug that another test plants is planted there."""
    path, _, name = tested.test.partition("::")
    tree = ast.parse((ROOT / path).read_text())
    assert name in {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_page_names_every_mutant():
    """`python -m tests.lab.mutants` was run after the last mutant was added."""
    _, _, rest = PAGE.read_text().partition(BEGIN)
    shown = {line.split(" | ")[0].removeprefix("| ") for line in rest.partition(END)[0].splitlines()[4:]}
    assert {each.name for each in (*MUTANTS, *TESTED)} <= shown
