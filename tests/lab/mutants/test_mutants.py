"""Every planted bug is caught by the rule that is named for it, and without it the same histories are clean."""

from dataclasses import replace

import pytest

from tests.lab.mutants import mutant as mutants
from tests.lab.mutants.table import BEGIN, END, MUTANTS, PAGE, without_one

MOST_OPERATIONS = 2_000  # the smallest load of the lab
MORE_SEEDS = 5


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught(mutant):
    """Its rule finds it within the smallest load; without it these seeds, and a few more, break nothing."""
    found = mutant.find()
    assert found is not None
    assert found.operations <= MOST_OPERATIONS
    assert not mutant.without(found.seed + 1 + MORE_SEEDS)


@pytest.mark.parametrize("name", ["keys unsorted", "no request id", "outbox outside the transaction"])
def test_a_mutant_that_changes_nothing_is_not_caught(name, monkeypatch):
    """The control of this file: the search itself invents no bug."""
    monkeypatch.setattr(mutants, "SEEDS", 20)
    mutant = next(each for each in MUTANTS if each.name == name)
    assert replace(mutant, mutate=lambda patch: None).find() is None


def test_the_page_names_every_mutant():
    """`python -m tests.lab.mutants` was run after the last mutant was added."""
    _, _, rest = PAGE.read_text().partition(BEGIN)
    shown = {line.split(" | ")[0].removeprefix("| ") for line in rest.partition(END)[0].splitlines()[4:]}
    assert {each.name for each in MUTANTS} <= shown


def test_the_page_names_the_rules_without_a_mutant():
    """As they are."""
    assert "\n".join(without_one()) in PAGE.read_text()
