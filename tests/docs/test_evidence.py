"""docs/evidence.md: written from documents, with where the figures come from; nothing in it is older than the code."""

import re
from dataclasses import replace

import pytest

from stockade.lab.model.contender import all_contenders
from stockade.lab.ring.cell import Cell, CellResult, Found
from stockade.lab.ring.document import document
from stockade.lab.ring.expectation import AS_CLAIMED, BROKEN_AS_CLAIMED, HELD, LATE, MUST_BREAK, NOT_EXPOSED, VIOLATED
from stockade.lab.ring.matrix import NotRun, matrix_of
from tests.docs.site import ROOT
from tests.lab import evidence

TEXT = (ROOT / "docs" / "evidence.md").read_text()
ORIGIN = r"`stockade lab \w+[^`]*`, 20\d\d-\d\d-\d\d, .+, \d+ cores, Python 3\.\d+\.\d+, commit `[0-9a-f]{7,}`"
MACHINE = {"os": "Linux", "cpu_count": 2, "python": "3.11.2", "date": "2026-11-29T20:00:00+00:00"}
GOOD = CellResult(Cell("postgres", "pessimistic", ("database-kill", "reset"), "hot"), 1, HELD, AS_CLAIMED)
CAUGHT = CellResult(
    Cell("postgres", "unprotected", (), "hot"), 2, MUST_BREAK, BROKEN_AS_CLAIMED, (Found("no-oversell", "21 of 20"),)
)
BAD = CellResult(Cell("mariadb", "optimistic", ("reset",), "hot"), 3, HELD, VIOLATED, (Found("real-time", "late"),))


def has_origin(text):
    """Whether a region says where its figures come from; that may stand in two lines."""
    return re.search(ORIGIN, " ".join(text.split()))


def part(kind, text=TEXT):
    """The region of this kind."""
    return text.partition(f"<!-- {kind}: begin -->")[2].partition(f"<!-- {kind}: end -->")[0]


@pytest.mark.parametrize("kind", evidence.KINDS)
def test_each_region_says_where_its_figures_come_from(kind):
    """The command, the date, the machine and the commit."""
    assert has_origin(part(kind))


def test_the_matrix_names_contenders_that_there_are():
    """A strategy or form that is gone is in no new ring: play one, and write the page again."""
    head = part("ring").partition("| fault |")[2].partition("\n")[0]
    named = re.findall(r"`([^`]+)`", head)
    assert named
    assert set(named) <= {each.name for each in all_contenders(with_forms=True)}


def test_the_page_says_what_was_not_tested():
    """Plainly, at its end."""
    assert TEXT.partition("## What was not tested")[2].count("\n- **") >= 8


def made(*results):
    """A page from a ring with these results."""
    names = ["unprotected", "optimistic", "pessimistic"]
    not_run = [NotRun("pessimistic", "redis-failover", "does not use redis")]
    matrix = matrix_of(results, names, ["database-kill", "reset"], not_run)
    found = document(MACHINE, {"seed": 1, "seconds": 6.0}, results, matrix) | {"commit": "0123abc"}
    return part("ring", evidence.page("<!-- ring: begin -->\n<!-- ring: end -->\n", [found]))


def test_a_ring_becomes_its_matrix_and_its_controls():
    """Marks, reasons, and by which rule each control was caught."""
    text = made(GOOD, CAUGHT)
    assert has_origin(text)
    assert "| fault | `unprotected` | `pessimistic` |" in text
    assert "| database-kill | - | ok (1) |" in text
    assert "| no-fault | caught (1) | - |" in text
    assert "- not run: redis-failover with pessimistic: does not use redis" in text
    assert "| unprotected | `postgres.unprotected.no-fault.hot` | 2 | `no-oversell` |" in text
    assert "1 of them every fault acted, and 1 of these are without a violation." in " ".join(text.split())
    assert "failed" not in text.partition("\n\n| control")[2]


def test_a_violation_is_not_hidden():
    """The control of this file: a cell that failed has its row."""
    text = made(GOOD, BAD, CAUGHT)
    assert "| `mariadb.optimistic.reset.hot` | VIOLATED | 3 | `real-time`: late |" in text
    assert "| reset | - | VIOLATED (1) | ok (1) |" in text


def test_a_cell_in_which_a_fault_did_not_act_counts_as_none():
    """It is no cell without a violation, and an entry says in how many of its cells every fault acted."""
    silent = replace(GOOD, verdict=NOT_EXPOSED, reason="not exposed: reset hit nothing")
    text = " ".join(made(GOOD, silent).split())
    assert "2 cells hold a strategy to a claim. In 1 of them every fault acted, and 1 of these are without" in text
    assert "; what says nothing: 1." in text
    assert "| database-kill | unmet (1 of 2) |" in text


def test_what_was_late_twice_failed():
    """It stands among the cells that failed, with what the try that decided has found."""
    late = replace(BAD, verdict=LATE, violations=(Found("in-time", "0.7 s past its deadline"),))
    text = made(late)
    assert "| cell that failed |" in text
    assert "| `mariadb.optimistic.reset.hot` | late | 3 | `in-time`: 0.7 s past its deadline |" in text


EXPERIMENT = {"name": "as asked", "removed": "", "expected": "deadlocks", "observed": "15 deadlocks", "held": True}
COSTS = {"baskets_s": 11.04, "deadlocks": 15, "timeouts": 1, "conflicts": 0, "refused": 0, "retried": 16}


def written(kind, members):
    """The region of a document with these members."""
    found = {"environment": MACHINE, "commit": "0123abc", **members}
    return part(kind, evidence.page(f"<!-- {kind}: begin -->\n<!-- {kind}: end -->\n", [found]))


def test_a_bench_becomes_its_experiments_with_their_costs_and_who_waited():
    """What was played under load has its costs; a circle of waits is drawn, what is none is not."""
    graphs = {name: {"circular": name == "opposite", "drawing": f"{name}\nend"} for name in ("opposite", "one")}
    load = {"part": "load", "figures": {**COSTS, "wasted_share": 0.415}, **EXPERIMENT}
    pool = {"part": "pool", "figures": {}, **EXPERIMENT, "held": False}
    members = {"database": "postgres", "experiments": [load, pool], "graphs": graphs, "left_out": ["x: no server"]}
    text = written("deadlock", {"deadlock": members})
    assert has_origin(text)
    assert "| as asked | none | 11.0 | 15 | 1 | 0 | 0 | 16 | 42% | yes |" in text
    assert "| pool: as asked | none | deadlocks | 15 deadlocks | NO |" in text
    assert "Who waits, opposite:\n\n```text\nopposite\nend\n```" in text
    assert "Who waits, one" not in text
    assert "Left out: x: no server." in text


def test_claims_say_which_were_measured_and_which_left_out():
    """The command names them if they are not all; what was left out has its reason."""
    measured = {"name": "nowait", "says": "It may refuse.", "verdict": "holds", "measured": ["a", "b"], "left_out": ""}
    missing = {"name": "attempts", "left_out": "says nothing about sqlite"}
    members = [{**each, "database": "sqlite"} for each in (measured, missing)]
    text = written("claims", {"claims": members})
    assert "`stockade lab claims nowait,attempts --database sqlite`" in text
    assert "| It may refuse. | holds | a; b |" in text
    assert "Left out: attempts: says nothing about sqlite." in text


@pytest.mark.parametrize(("said", "named", "found"), [("1a2b3c4d", "", "1a2b3c4d"), ("", "9f8e7d6c", "9f8e7d6c")])
def test_the_commit_is_that_of_the_document(said, named, found):
    """As it says itself; one that does not is named, and one that says another one is refused."""
    document = {"environment": {"stockade": f"0.1.0+g{said}" if said else "0.1.0"}}
    assert evidence.with_commit(document, named)["commit"] == found
    if said:
        with pytest.raises(SystemExit, match="was measured by commit 1a2b3c4d, and not by 9f8e7d6c"):
            evidence.with_commit(document, "9f8e7d6c")


def test_a_page_without_the_region_is_refused():
    """Rather than to lose what was measured."""
    with pytest.raises(ValueError, match="ring: begin"):
        evidence.region("# Evidence\n", "ring", "")
