"""The scenarios of the package: stockade passes them, and under `unprotected` each of them finds its violation."""

import json
import re
import urllib.request
import uuid
from contextlib import suppress

import msgspec
import pytest

from stockade.race import Scenario, load, shipped
from stockade.testing import race
from tests.cli.service import SECRET, Service

BREAKS = {  # scenario -> the invariants that break without protection, in every first round
    "stockade-double-spend": {"points are spent once", "the balance is what is left", "the ledger adds up"},
    "stockade-double-submit": {"one unit for each key", "the audit finds nothing"},
    "stockade-last-units": {"no unit is sold twice", "what was sold is gone"},
    "stockade-two-rows": {"the scarcer one decides", "both or neither"},
}


@pytest.fixture(scope="module", params=["sequencer", "unprotected"])
def served(request, tmp_path_factory):
    """(strategy, URL) of a shop in its own process."""
    words = ("--strategy", request.param, "--allow-overselling")
    with Service(tmp_path_factory.mktemp(request.param), *words) as shop:
        yield request.param, shop.url


@pytest.mark.parametrize("name", shipped())
def test_stockade(served, name, monkeypatch):
    """One round breaks nothing under `sequencer`, and without protection what the scenario is about."""
    strategy, url = served
    monkeypatch.setenv("STOCKADE_TOKEN_SECRET", SECRET)
    if strategy == "sequencer":
        assert race(name, target=url, rounds=1).passed
    else:
        with pytest.raises(AssertionError, match=r"VIOLATED  .*\n(.*\n)*  answer +buyer \d+") as found:
            race(name, target=url)
        assert BREAKS[name] <= {*re.findall(r"VIOLATED  (.*?): ", str(found.value))}


def test_one_answer_for_each_key_breaks_where_each_click_has_its_own(served, monkeypatch):
    """The control of `one answer for each key`: stockade keeps it under every strategy, and without keys nobody can."""
    _, url = served
    monkeypatch.setenv("STOCKADE_TOKEN_SECRET", SECRET)
    whole = load("stockade-double-submit").scenario
    [order] = whole.requests
    without = msgspec.structs.replace(order, headers={"Idempotency-Key": "{uuid}"})
    with pytest.raises(AssertionError) as found:
        race(msgspec.structs.replace(whole, requests=[without]), target=url)
    broken = {*re.findall(r"VIOLATED  (.*?): ", str(found.value))}
    assert {"one answer for each key", "one order for each key"} <= broken


def test_nothing_of_a_race_stays_on_sale(served, monkeypatch):
    """Each round hides its product; without the clean-up it is listed (control)."""
    _, url = served
    monkeypatch.setenv("STOCKADE_TOKEN_SECRET", SECRET)
    whole = load("stockade-last-units").scenario
    name = f"lamp-{uuid.uuid4()}"
    whole = msgspec.json.decode(msgspec.json.encode(_file(whole)).replace(b'"lamp"', f'"{name}"'.encode()))
    for cleanup in (whole["cleanup"], []):
        with suppress(AssertionError):  # what it finds is the matter of the tests above
            race(msgspec.convert({**whole, "cleanup": cleanup}, Scenario), target=url, rounds=1)
        with urllib.request.urlopen(f"{url}/v1/products?q={name}", timeout=10) as answer:
            assert len(json.load(answer)["items"]) == (0 if cleanup else 1)


def _file(scenario):
    """What a file says."""
    functions = ("prepare", "request_of", "checks")
    return {name: each for name, each in msgspec.structs.asdict(scenario).items() if name not in functions}


def test_every_scenario_of_the_package_has_a_line():
    """`--list` shows what each of them races."""
    assert len(shipped()) == 4
    assert all(load(name).scenario.about for name in shipped())
