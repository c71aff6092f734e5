"""Axes and points: what an option means, and what stays as usual while one thing changes."""

import pytest

from stockade.lab.errors import LabError
from stockade.lab.model.contender import Contender
from stockade.lab.sweeps.axes import AXES, Setting, points_of, read_values
from stockade.lab.sweeps.choose import complete_plan
from stockade.lab.sweeps.plan import SweepPlan, dialect_of


@pytest.mark.parametrize(
    ("axis", "text", "values"),
    [("buyers", "30, 5,30", (5, 30)), ("section", "0.5,2", (0.5, 2)), ("skew", "0", (0,))],
)
def test_values_are_sorted_and_each_once(axis, text, values):
    """An axis is read from small to large."""
    assert read_values(AXES[axis], text) == values


@pytest.mark.parametrize(
    ("axis", "text"), [("buyers", "5,many"), ("buyers", "2.5"), ("pool", "0"), ("section", "-1"), ("skew", "nan")]
)
def test_a_value_that_cannot_be_is_refused_with_the_range(axis, text):
    """The error says which numbers are possible."""
    with pytest.raises(LabError, match=f"--{axis} takes .*numbers from .* to "):
        read_values(AXES[axis], text)


def test_several_values_are_swept_and_one_is_of_every_point():
    """Each point changes one axis and leaves the others as they were given."""
    points, left_out = points_of({"buyers": (5, 60), "keys": (3,)}, "sqlite")
    assert [point.id for point in points] == ["buyers=5", "buyers=60"]
    assert [point.setting for point in points] == [Setting(buyers=5, keys=3), Setting(buyers=60, keys=3)]
    assert not left_out


def test_without_several_values_every_other_axis_is_swept():
    """On SQLite there is no server whose answers could be late, and the option that names one value is no axis."""
    points, left_out = points_of({"pool": (2,)}, "sqlite")
    assert {point.axis for point in points} == set(AXES) - {"pool", "latency"}
    assert all(point.setting.pool == 2 for point in points)
    assert "private server" in left_out["latency"]
    assert "latency" in {point.axis for point in points_of({}, "postgres")[0]}


def test_a_thorough_sweep_has_more_values_of_every_axis():
    """Between those of a usual one, or beside them."""
    usual, thorough = ({each.id for each in points_of({}, "postgres", thorough=each)[0]} for each in (False, True))
    assert usual < thorough
    assert "buyers=15" in thorough - usual


def test_only_the_axis_differs_between_its_points():
    """The point 0 of the section has fault points too, that of the latency has the link: else two things change."""
    points, _ = points_of({}, "postgres")
    assert {point.setting.has_section for point in points if point.axis == "section"} == {True}
    assert {point.setting.has_link for point in points if point.axis == "latency"} == {True}
    assert {point.setting.keys for point in points if point.axis == "skew"} == {30}
    assert not any(point.setting.has_section or point.setting.has_link for point in points if point.axis == "buyers")


def test_a_fixed_section_or_latency_is_of_every_point():
    """`--section 2 --buyers 5,30` has a section of 2 ms at both."""
    points, _ = points_of({"section": (2.0,), "latency": (1.0,), "buyers": (5, 30)}, "postgres")
    assert {(each.setting.section, each.setting.has_section, each.setting.has_link) for each in points} == {
        (2, True, True)
    }


def test_the_control_takes_part_unasked_and_what_cannot_run_is_named():
    """Without `unprotected` no point would count; partitions concern kafka alone."""
    plan = complete_plan(SweepPlan((), ()), {}, ["sequencer", "pessimistic"])
    assert [each.name for each in plan.contenders] == ["unprotected", "sequencer", "pessimistic"]
    assert "kafka" in plan.left_out["partitions"]
    usual = complete_plan(SweepPlan((), ()), {"buyers": (5, 30)}, [])
    assert {"redis-spin", "kafka", "advisory"} <= set(usual.left_out)
    assert Contender("sequencer") in usual.contenders


@pytest.mark.parametrize(
    ("names", "chosen", "says"),
    [
        (["advisory"], {}, "advisory: runs on"),
        (["optimist"], {}, "unknown strategy"),
        (["version-no-key"], {}, "payment"),
        ([], {"latency": (0, 1)}, "nothing to compare: latency"),
        (["unprotected"], {}, "nothing to compare"),
    ],
)
def test_a_sweep_of_nothing_is_refused_with_the_reason(names, chosen, says):
    """What is named and cannot run ends the command; it is not left out in silence."""
    with pytest.raises(LabError, match=says):
        complete_plan(SweepPlan((), ()), chosen, names)


@pytest.mark.parametrize(
    ("database", "dialect"),
    [
        ("sqlite", "sqlite"),
        ("postgresql://a@h/d", "postgres"),
        ("mysql://a@h/d", "mysql"),
        ("sqlite:////t/a.db", "sqlite"),
    ],
)
def test_the_dialect_of_a_url(database, dialect):
    """Settings name the dialect, never a URL with its password."""
    assert dialect_of(database) == dialect
    with pytest.raises(LabError, match="--database takes"):
        dialect_of("oracle")
