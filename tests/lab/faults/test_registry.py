"""Faults by name, alone and combined, and why one cannot happen with a strategy on a database."""

import re
from pathlib import Path

import pytest

from stockade.lab.faults import FAULTS, find_faults, needs_of
from stockade.lab.faults.network import CONDITIONS, PLACES
from stockade.lab.site import needs
from stockade.lab.site.site import open_site
from stockade.strategies import registry

LAB_PAGE = Path(__file__).parents[3] / "docs" / "lab.md"


def test_every_fault_is_whole():
    """Names are unique and made for the command line; needs exist; what covers it is a name that strategies claim."""
    claimed = {name for strategy in registry.names() for name in registry.guarantees(strategy).faults}
    for name, fault in FAULTS.items():
        assert name == fault.name
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz-")
        assert fault.needs <= needs.NAMES
        assert set(fault.covered_by) <= claimed
        assert set(fault.must_fail) <= {"bare"}
        assert fault.summary
        assert fault.recovery_s > 0


def test_combinations():
    """Several are joined by a plus; their needs are needed together; an empty text means none."""
    both = find_faults("database-kill+latency")
    assert [each.name for each in both] == ["database-kill", "latency"]
    assert needs_of(both) == {"database-server", "links"}
    assert find_faults("") == ()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("nonsense", "unknown fault 'nonsense'; there are: process-kill, "),
        ("latency+nonsense", "unknown fault 'nonsense'"),
        ("latency+", "unknown fault ''"),
        ("latency+latency", "named twice"),
    ],
)
def test_names_that_do_not_exist(text, part):
    """The message lists every name that does."""
    with pytest.raises(ValueError, match=part.replace("'", ".")) as caught:
        find_faults(text)
    assert "twice" in part or all(name in str(caught.value) for name in FAULTS)


@pytest.mark.parametrize(
    ("name", "strategy", "database", "why"),
    [
        ("database-kill", "pessimistic", "sqlite", "SQLite is a file"),
        ("latency", "pessimistic", "sqlite", "there is no link"),
        ("latency", "redis-pubsub:bare", "sqlite", ""),
        ("redis-kill", "pessimistic", "postgres", "does not use redis"),
        ("redis-kill", "redlock:fence", "mariadb", ""),
        ("broker-kill", "redis-pubsub", "postgres", "does not use kafka"),
        ("worker-kill", "kafka", "postgres", ""),
        ("process-kill", "in-process", "sqlite", ""),
    ],
)
def test_what_cannot_happen_is_named(name, strategy, database, why):
    """A fault that would hit nothing says so instead of passing."""
    assert why in FAULTS[name].impossible(strategy, database)
    assert bool(why) == bool(FAULTS[name].impossible(strategy, database))


async def test_a_tool_that_is_missing_is_named(monkeypatch):
    """The reason says which package to install, before anything is started."""
    monkeypatch.setattr("stockade.lab.site.tools.faketime_library", lambda: None)
    assert "apt-get install libfaketime" in FAULTS["clock-ahead"].impossible("pessimistic", "postgres")
    with pytest.raises(Exception, match="apt-get install libfaketime"):
        async with open_site("sqlite", frozenset({"libfaketime"})):
            pass
    with pytest.raises(ValueError, match="unknown needs nonsense"):
        async with open_site("sqlite", frozenset({"nonsense"})):
            pass


def test_the_page_has_every_fault():
    """docs/lab.md names each fault and no other; those of one link stand for the link's names."""
    section = LAB_PAGE.read_text().partition("## Faults of recordings")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall("`([a-z-]+)`", row)}
    links = {f"{name}-{place}" for name in (each.name for each in CONDITIONS) for place in PLACES}
    assert named == set(FAULTS) - links
    must = section.partition("It *must* be seen")[2].partition("where clients share")[0]
    assert set(re.findall("`([a-z-]+)`", must)) == {name for name, fault in FAULTS.items() if fault.must_fail}


def test_a_fault_that_stops_processes_says_so():
    """`in-time` leaves out what such a process was asked: each fault that sends SIGSTOP is one, and no other."""
    stops = {"leave_holder_suspended", "pause", "_stop_half_of_the_time"}  # what injections call for it
    for fault in FAULTS.values():
        inject = getattr(fault.inject, "func", fault.inject)
        assert fault.stops_processes == bool(stops & set(inject.__code__.co_names)), fault.name
    assert sum(fault.stops_processes for fault in FAULTS.values()) == 7
