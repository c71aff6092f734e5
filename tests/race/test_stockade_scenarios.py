"""The scenarios of the package: stockade passes them, and under `unprotected` each of them finds its violation."""

import pytest

from stockade.race import load, shipped
from stockade.testing import race
from tests.cli.service import SECRET, Service


@pytest.fixture(scope="module", params=["sequencer", "unprotected"])
def served(request, tmp_path_factory):
    """(strategy, URL) of a shop in its own process."""
    words = ("--strategy", request.param, "--allow-overselling")
    with Service(tmp_path_factory.mktemp(request.param), *words) as shop:
        yield request.param, shop.url


@pytest.mark.parametrize("name", shipped())
def test_stockade(served, name, monkeypatch):
    """One round breaks nothing under `sequencer`, and something without protection."""
    strategy, url = served
    monkeypatch.setenv("STOCKADE_TOKEN_SECRET", SECRET)
    if strategy == "sequencer":
        assert race(name, target=url, rounds=1).passed
    else:
        with pytest.raises(AssertionError, match=r"VIOLATED  .*\n(.*\n)*  answer +buyer \d+"):
            race(name, target=url)


def test_every_scenario_of_the_package_has_a_line():
    """`--list` shows what each of them races."""
    assert len(shipped()) == 4
    assert all(load(name).scenario.about for name in shipped())
