"""Samples, results and documents of sweeps that nobody played."""

from dataclasses import replace

from stockade.lab.model.contender import Contender
from stockade.lab.sweeps.analysis.summary import results_of
from stockade.lab.sweeps.axes import Point, Setting
from stockade.lab.sweeps.document import document
from stockade.lab.sweeps.plan import CONTROL, SweepPlan
from stockade.lab.sweeps.sample import Resources, Sample

CODE = {"stockade": "0", "code": "made up"}
ENVIRONMENT = {"stockade": "0", "python": "3", "os": "made up", "cpu_count": 2, "date": "2026-01-01T00:00:00+00:00"}
NONE_USED = Resources(30, 0, 30.0, 0.0, 60.0, None, 15.0, None, None, None)
WOBBLE = (1.0, 1.02, 0.99, 1.01, 0.98, 1.03, 0.97)  # of seven rounds


def sample(number=0, wall_ms=100.0, violations=(), **changes):
    """A burst of 30 orders, all decided unless `changes` say otherwise."""
    made = Sample(number, 0, wall_ms, 1.0, 20, 10, 0, (1.0, 2.0, 3.0, wall_ms), 0.25, tuple(violations), NONE_USED, 20)
    return replace(made, **changes)


def samples(wall_ms, violations=(), rounds=7):
    """A sample for each round, all about so long."""
    return [sample(n, wall_ms * WOBBLE[n % len(WOBBLE)], violations) for n in range(rounds)]


def points(axis, values, **setting):
    """Points of an axis."""
    return [Point(axis, value, Setting(**{**setting, axis: value})) for value in values]


def results(axis, values, walls, *, held=(), broke=(), gave_up=(), rounds=7):
    """Results of strategies along an axis.

    Args:
        axis: its name.
        values: of it.
        walls: by strategy how long a burst takes at each value, in ms; None: not played there.
        held: values at which the control broke nothing.
        broke: pairs of a strategy and a value at which it broke a rule.
        gave_up: pairs of a strategy and a value at which it gave up half of its orders.
        rounds: of each.
    """
    there, taken = points(axis, values), {}
    names = [CONTROL, *walls]
    for number, point in enumerate(there):
        taken[point.id, CONTROL] = samples(50, () if point.value in held else ("oversell",), rounds)
        for name, lengths in walls.items():
            if lengths[number] is not None:
                rules = ("conservation",) if (name, point.value) in broke else ()
                taken[point.id, name] = samples(lengths[number], rules, rounds)
                if (name, point.value) in gave_up:
                    half = {"accepted": 10, "rejected": 5, "failed": 15}
                    taken[point.id, name] = [replace(each, **half) for each in taken[point.id, name]]
    return results_of(there, [Contender.parse(name) for name in names], taken)


def made_document(axis, values, walls, *, resource="stock", complexity=(), left_out=(), complete=True, **options):
    """The document of the results of the same arguments."""
    found = results(axis, values, walls, **options)
    there = tuple(dict.fromkeys(each.point for each in found))
    contenders = [Contender.parse(name) for name in (CONTROL, *walls)]
    plan = SweepPlan(there, contenders, "sqlite", resource, 7, left_out=dict(left_out))
    return document(ENVIRONMENT, plan, CODE, found, complexity, complete=complete)
