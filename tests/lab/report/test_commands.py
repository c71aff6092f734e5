"""The command that measures a file again has everything that the file says: it would measure something else without."""

import shlex
from itertools import pairwise

import pytest

from stockade.lab.aimed_faults import faults
from stockade.lab.history.history_file import read_history, write_history
from stockade.lab.report.provenance.commands import command, command_of_history
from stockade.lab.sweeps.axes import AXES, points_of, read_values
from tests.lab.checkers.small_histories import small
from tests.lab.report.documents import claim, claims_document, lab_document, ring, run, source, sweep


def of(folder, values):
    """The command for a document."""
    found = source(folder, values)
    return command(found.document, found.sweep)


def options(text):
    """The options of a command by name."""
    words = shlex.split(text)
    return {name.removeprefix("--"): value for name, value in pairwise(words) if name.startswith("--")}


CHOSEN = {
    "one axis": {"buyers": (5, 30)},
    "single values": {"buyers": (60,), "keys": (3,), "processes": (2,), "pool": (2, 4)},
    "a usual value where another axis has its own": {"keys": (1,), "skew": (0, 1)},
    "a section": {"section": (2,), "buyers": (5, 30)},
    "everything": {},
}


@pytest.mark.parametrize("chosen", CHOSEN.values(), ids=CHOSEN)
def test_a_sweep_has_every_axis(tmp_path, chosen):
    """The options make the same points again, those with a single value too."""
    found = sweep(values=(5, 30), database="sqlite", left_out={})
    points, _ = points_of(chosen, "sqlite")
    first = found["sweep"]["points"][0]
    found["sweep"]["points"] = [
        {**first, "axis": point.axis, "value": point.value, "setting": point.setting.as_json()} for point in points
    ]
    given = options(of(tmp_path, found))
    again = {name: read_values(AXES[name], given[name]) for name in AXES if name in given}
    assert points_of(again, "sqlite")[0] == points


def test_a_sweep_has_its_resource_its_rounds_and_its_workers(tmp_path):
    """And the strategies in their order."""
    found = sweep(resource="points")
    found["sweep"]["settings"] |= {"repeats": 9, "workers": 2}
    given = options(of(tmp_path, found))
    assert {name: given.get(name) for name in ("resource", "repeats", "workers", "strategies")} == {
        "resource": "points",
        "repeats": "9",
        "workers": "2",
        "strategies": "unprotected,optimistic,pessimistic",
    }
    assert not {"resource", "workers"} & set(options(of(tmp_path, sweep())))


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"count": 20}, {}),
        ({"count": 3}, {"repeats": "3"}),
        ({"count": 20, "buyers": 60}, {"buyers": "60"}),
        ({"count": 20, "stock": 5}, {"stock": "5"}),
        ({"count": 20, "processes": 2}, {"processes": "2"}),
        ({"count": 1, "preset": "own"}, {"preset": "own", "buyers": "30", "stock": "20", "app": "MODULE:NAME"}),
    ],
)
def test_a_run_has_its_load(tmp_path, changes, wanted):
    """Whatever differs from the preset: buyers, stock, repeats, processes; of an unknown preset all of it."""
    found = options(of(tmp_path, lab_document(run(**changes))))
    usual = {"database": "postgres", "strategies": "pessimistic"}
    assert {**usual, **wanted}.items() <= found.items()
    assert set(found) <= {*usual, *wanted, "repeats"}
    assert ("repeats" in found) is (changes["count"] != 20)


def test_a_run_under_faults_repeats_each_point(tmp_path):
    """A repeat of a fault is one for each point at which it strikes."""
    points = len(faults()["crash"].points)
    once = of(tmp_path, lab_document(run(fault="crash", processes=2, count=points), schema="stockade.lab/2"))
    assert options(once) == {"database": "postgres", "fault": "crash", "strategies": "pessimistic"}
    twice = of(tmp_path, lab_document(run(fault="crash", processes=2, count=2 * points), schema="stockade.lab/2"))
    assert options(twice)["repeats"] == "2"


def test_kafka_has_its_topic(tmp_path):
    """Partitions and workers, where they are not the usual ones."""
    kafka = run("kafka", count=30)
    assert not {"partitions", "workers"} & set(options(of(tmp_path, lab_document(kafka))))
    kafka["log"] |= {"partitions": 6, "workers": 2}
    found = options(of(tmp_path, lab_document(kafka)))
    assert (found["partitions"], found["workers"]) == ("6", "2")


def test_some_claims_are_named(tmp_path):
    """Those that were measured; a long seed of a ring keeps all its digits."""
    assert of(tmp_path, claims_document(claim())) == "stockade lab claims attempts --database postgres"
    long = ring()
    long["settings"]["seed"] = 1234567890123
    assert options(of(tmp_path, long))["seed"] == "1234567890123"


def test_a_recording_has_everything_it_was_started_with(tmp_path):
    """Rate, pool, deadline, lease and the parts of a topic too; faults that happen together have a plus between."""
    settings = {"seconds": 6.0, "processes": 3, "clients": 8, "rate": 50.0, "pool_size": 2, "lease_s": 0.5}
    settings |= {"wait_s": 1.5, "partitions": 6, "workers": 1, "app": "shop.own:APP"}
    write_history(small(faults=("pause", "latency"), settings=settings), tmp_path / "h.jsonl")
    found = options(command_of_history(read_history(tmp_path / "h.jsonl")))
    assert found == {
        "workload": "small",
        "app": "shop.own:APP",
        "strategies": "pessimistic",
        "database": "sqlite",
        "seed": "1",
        "fault": "pause+latency",
        "seconds": "6",
        "processes": "3",
        "clients": "8",
        "rate": "50",
        "pool": "2",
        "wait": "1.5",
        "lease": "0.5",
        "partitions": "6",
        "workers": "1",
    }
