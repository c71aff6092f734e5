"""The JSON document of a lab run (docs/lab.md). Pure.

The schema grows by a new number only: a reader of `stockade.lab/1` finds in every such document exactly these members.
Runs under faults are `stockade.lab/2`, which names the fault of each run besides.
"""

from collections.abc import Mapping, Sequence

from stockade.core import JsonValue
from stockade.lab.figures import Run

SCHEMA = "stockade.lab/1"
SCHEMA_OF_FAULTS = "stockade.lab/2"


def document(environment: Mapping[str, JsonValue], runs: Sequence[Run]) -> dict[str, JsonValue]:
    """The whole document as JSON values; version 2 if any run was under a fault."""
    if any(run.fault for run in runs):
        hurt = [{**_run(run), "fault": run.fault} for run in runs]
        return {"schema": SCHEMA_OF_FAULTS, "environment": dict(environment), "runs": hurt}
    return {"schema": SCHEMA, "environment": dict(environment), "runs": [_run(run) for run in runs]}


def _run(run: Run) -> dict[str, JsonValue]:
    p50, p95, p99 = run.latency_ms
    return {
        "preset": run.preset,
        "strategy": run.strategy,
        "database": run.database,
        "processes": run.processes,
        "buyers": run.buyers,
        "stock": run.stock,
        "accepted": run.accepted,
        "rejected": run.rejected,
        "failed": run.failed,
        "left": run.left,
        "violations": [{"rule": each.rule, "detail": each.detail} for each in run.violations],
        "wall_ms": {
            "median": _ms(run.wall_median_ms),
            "low": _ms(min(run.wall_ms)),
            "high": _ms(max(run.wall_ms)),
            "samples": [_ms(sample) for sample in run.wall_ms],
        },
        "latency_ms": {"p50": _ms(p50), "p95": _ms(p95), "p99": _ms(p99)},
        "attempts_per_order": round(run.attempts_per_order, 4),
        "deadlocks": run.deadlocks,
        "verdict": run.judgement.verdict,
    }


def _ms(value: float) -> float:
    return round(value, 3)
