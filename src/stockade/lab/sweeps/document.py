"""The member `sweep` of the JSON document (docs/lab.md): raw samples, figures, crossovers, complexity. Pure functions.

What is computed can be computed again from the samples; the file has both, so that others need not. Neighbours:
`sweep_file.py` keeps it, `stockade.lab.advice` reads it.
"""

from collections.abc import Mapping, Sequence

from stockade.core import JsonValue
from stockade.lab.history.history_file import SCHEMA
from stockade.lab.sweeps.analysis.crossovers import crossovers
from stockade.lab.sweeps.analysis.statistics import Interval, rounded
from stockade.lab.sweeps.analysis.summary import FIGURES, PER_ORDER, PointResult
from stockade.lab.sweeps.axes import AXES
from stockade.lab.sweeps.plan import CONTROL, SweepPlan


def document(
    environment: Mapping[str, JsonValue],
    plan: SweepPlan,
    code: Mapping[str, JsonValue],
    results: Sequence[PointResult],
    complexity: Sequence[Mapping[str, JsonValue]],
    *,
    complete: bool,
) -> dict[str, JsonValue]:
    """The whole document as JSON values.

    Args:
        environment: of the run.
        plan: of the sweep.
        code: version and hash of the code that took the samples.
        results: of every point that has samples.
        complexity: of every strategy.
        complete: whether every turn of the plan was played.
    """
    return {
        "schema": SCHEMA,
        "environment": dict(environment),
        "sweep": {
            "settings": {**plan.settings, **code, "repeats": plan.repeats},
            "complete": complete,
            "control": CONTROL,
            "points": [_point(plan, each) for each in results],
            "crossovers": [each.as_json() for each in crossovers(results)],
            "complexity": [dict(each) for each in complexity],
            "left_out": dict(plan.left_out),
        },
    }


def _point(plan: SweepPlan, result: PointResult) -> dict[str, JsonValue]:
    point = result.point
    return {
        "axis": point.axis,
        "value": point.value,
        "unit": AXES[point.axis].unit,
        "database": str(plan.settings["database"]),
        "resource": plan.resource,
        "setting": point.setting.as_json(),
        "strategy": result.contender.name,
        "control_failed": result.control_failed,
        "control_rounds": [result.control.times, result.control.played],
        "short_rounds": result.short.times,
        "failed_share": rounded(result.failed_share),
        "counts": result.counts,
        "why_not": result.why_not,
        "claim_violated": result.claim_violated,
        "figures": {name: _or_none(result.figure(name)) for name in FIGURES},
        "latency_ms": result.latencies(),
        "per_order": {name: _or_none(result.per_order(name)) for name in PER_ORDER},
        "samples": [sample.as_json() for sample in result.samples],
    }


def _or_none(found: Interval | None) -> JsonValue:
    return None if found is None else found.as_json()
