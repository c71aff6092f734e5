"""The JSON document of a lab run (docs/lab.md). Pure functions.

The members of `stockade.lab/1` never change: more members need a new number. Runs of `kafka` have one more, `log`. A
document with faults is `stockade.lab/2`, in which each run has one more, `fault`. A document with payments is
`stockade.lab/3`: as version 2, and runs of the payment presets have one more, `payments`.
"""

import statistics
from collections.abc import Mapping, Sequence

from stockade.core import JsonValue
from stockade.lab.reporting.summary import LogSummary, PaymentSummary, RunSummary

SCHEMA = "stockade.lab/1"
SCHEMA_OF_FAULTS = "stockade.lab/2"
SCHEMA_OF_PAYMENTS = "stockade.lab/3"


def document(environment: Mapping[str, JsonValue], runs: Sequence[RunSummary]) -> dict[str, JsonValue]:
    """The whole document as JSON values; version 2 if any run was under a fault, 3 if any buyer paid."""
    paying = any(run.payments is not None for run in runs)
    if paying or any(run.fault for run in runs):
        with_fault = [{**_run(run), "fault": run.fault} for run in runs]
        schema = SCHEMA_OF_PAYMENTS if paying else SCHEMA_OF_FAULTS
        return {"schema": schema, "environment": dict(environment), "runs": with_fault}
    return {"schema": SCHEMA, "environment": dict(environment), "runs": [_run(run) for run in runs]}


def _run(run: RunSummary) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {
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
        "wall_ms": _spread(run.wall_ms),
        "latency_ms": _percentiles(run.latency_ms),
        "attempts_per_order": round(run.attempts_per_order, 4),
        "deadlocks": run.deadlocks,
        "verdict": run.judgement.verdict,
    }
    if run.log is not None:
        found["log"] = _log(run.log)
    if run.payments is not None:
        found["payments"] = _payments(run.payments)
    return found


def _log(log: LogSummary) -> dict[str, JsonValue]:
    return {
        "partitions": log.partitions,
        "workers": log.workers,
        "accepted_wall_ms": _spread(log.accepted_wall_ms),
        "accepted_latency_ms": _percentiles(log.accepted_latency_ms),
        "orders_per_transaction": round(log.orders_per_transaction, 4),
        "lag": log.lag,
    }


def _payments(payments: PaymentSummary) -> dict[str, JsonValue]:
    return {
        "approvals_per_payment": round(payments.approvals_per_payment, 4),
        "most_approvals": payments.most_approvals,
        "charged_not_recorded": payments.charged_not_recorded,
        "recorded_not_charged": payments.recorded_not_charged,
        "connections_held": payments.connections_held,
        "pool_wait_ms": _ms(payments.pool_wait_ms),
        "payments_s": round(payments.payments_s, 2),
    }


def _spread(samples: Sequence[float]) -> dict[str, JsonValue]:
    return {
        "median": _ms(statistics.median(samples)),
        "low": _ms(min(samples)),
        "high": _ms(max(samples)),
        "samples": [_ms(sample) for sample in samples],
    }


def _percentiles(values: tuple[float, float, float]) -> dict[str, JsonValue]:
    p50, p95, p99 = values
    return {"p50": _ms(p50), "p95": _ms(p95), "p99": _ms(p99)}


def _ms(value: float) -> float:
    return round(value, 3)
