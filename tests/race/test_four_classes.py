"""The four classes of races: each is found in its broken form, with the answers that prove it, and not in its fixed."""

import pytest

from stockade.testing import race
from tests.race.services import EXAMPLES, example

ROUNDS = 3  # of a form that is right; the broken ones are found in the first
CLASSES = {  # file -> the invariant that breaks, and a line of the proof
    "lost_update": ("no charge is lost", r"balance = \d+00 "),
    "double_spend": ("nobody spends what is not there", r"balance = -\d+"),
    "double_submit": ("one answer for each key", r'buyer 5, key 0: POST /broken/orders -> 201 {"order":'),
    "two_rows": ("together they are never overdrawn", r"giro = -\d+"),
}


@pytest.fixture(scope="module")
def wallet(tmp_path_factory):
    """The URL of the example with all four."""
    with example("wallet", tmp_path_factory.mktemp("wallet")) as url:
        yield url


@pytest.mark.parametrize("name", CLASSES)
def test_the_broken_form_is_found(wallet, name):
    """The race ends with the invariant, its numbers, and the answers that prove it."""
    invariant, proof = CLASSES[name]
    with pytest.raises(AssertionError, match=f"VIOLATED  {invariant}") as found:
        race(EXAMPLES / f"{name}.toml", target=wallet, environment={})
    assert found.match(proof)
    assert found.match(r"answer +buyer \d+.*: POST /broken/.* -> 201 ")


@pytest.mark.parametrize("name", CLASSES)
def test_the_fixed_form_passes(wallet, name):
    """The same race against the corrected endpoint breaks nothing; where money ends, some are refused."""
    result = race(EXAMPLES / f"{name}.toml", target=wallet, rounds=ROUNDS, environment={"FORM": "fixed"})
    assert result.passed
    assert len(result.rounds) == ROUNDS
    assert all(each.counts["success"] and not each.errors for each in result.rounds)
    assert all(bool(each.counts["refusal"]) == (name in ("double_spend", "two_rows")) for each in result.rounds)
