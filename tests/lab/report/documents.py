"""Documents of the lab, made up: small, whole, and with whatever a test changes."""

import json
import random
import statistics

from stockade.lab.faults import FAULTS
from stockade.lab.model.contender import all_contenders
from stockade.lab.report.documents import read_source
from stockade.lab.ring.cell import Cell, CellResult, Found
from stockade.lab.ring.document import document as ring_document
from stockade.lab.ring.expectation import AS_CLAIMED, BROKEN_AS_CLAIMED, HELD, MUST_BREAK, VIOLATED
from stockade.lab.ring.matrix import NotRun, matrix_of
from tests.lab.sweeps.made_up import made_document

ENVIRONMENT = {
    "stockade": "0.1.0",
    "python": "3.11.2",
    "os": "Linux",
    "cpu_count": 2,
    "database": "postgres",
    "database_version": "15.18",
    "isolation": "READ COMMITTED",
    "date": "2026-11-29T20:00:00+00:00",
}
STRATEGIES = [each.name for each in all_contenders(with_forms=False)]
LUCKY = {"accepted": 20, "rejected": 10, "left": 0, "violations": [], "verdict": "as promised"}  # of a control
WALL_MS = {name: 20.0 * number for number, name in enumerate(STRATEGIES, 1)}


def spread(median, count=6, factor=0.02):
    """Samples around a median, and what sums them up."""
    drawn = random.Random(median)
    samples = [round(median * (1 + factor * drawn.uniform(-1, 1)), 3) for _ in range(count)]
    return {"median": statistics.median(samples), "low": min(samples), "high": max(samples), "samples": samples}


def run(strategy="pessimistic", wall_ms=100.0, *, factor=0.02, count=6, **changes):
    """A run of the reference test: as promised, but for `unprotected`."""
    typical = wall_ms if isinstance(wall_ms, float) else 1.0
    broken = strategy.partition(":")[0] == "unprotected"
    values = {
        "preset": "reference",
        "strategy": strategy,
        "database": "postgres",
        "processes": 1,
        "buyers": 30,
        "stock": 20,
        "accepted": 30 if broken else 20,
        "rejected": 0 if broken else 10,
        "failed": 0,
        "left": 12 if broken else 0,
        "violations": [{"rule": "oversell", "detail": "30 of 20 were sold"}] if broken else [],
        "wall_ms": spread(wall_ms, count, factor) if isinstance(wall_ms, float) else wall_ms,
        "latency_ms": {"p50": typical / 2, "p95": typical * 0.9, "p99": typical},
        "attempts_per_order": 1.0,
        "deadlocks": 0,
        "verdict": "broken" if broken else "as promised",
    }
    if strategy == "kafka":
        values["log"] = {
            "partitions": 3,
            "workers": 1,
            "accepted_wall_ms": spread(12.0),
            "accepted_latency_ms": {"p50": 9.0, "p95": 11.0, "p99": 12.0},
            "orders_per_transaction": 14.0,
            "lag": 20,
        }
    return values | changes


def lab_document(*runs, **changes):
    """A document of `stockade lab`; without runs that of every strategy."""
    found = runs or [run(name, WALL_MS[name]) for name in STRATEGIES]
    return {"schema": "stockade.lab/1", "environment": ENVIRONMENT, "runs": list(found), **changes}


def ring():
    """A ring: one claim kept, one control caught, one claim broken."""
    kept = CellResult(Cell("postgres", "pessimistic", ("reset",), "hot"), 1, HELD, AS_CLAIMED, (), {"ok": 9}, 1.0)
    found = (Found("no-oversell", "21 of 20"),)
    caught = CellResult(Cell("postgres", "unprotected", (), "hot"), 2, MUST_BREAK, BROKEN_AS_CLAIMED, found, {"ok": 9})
    late = (Found("real-time", "<b>late</b>"),)
    bad = CellResult(Cell("postgres", "optimistic", ("database-kill",), "hot"), 3, HELD, VIOLATED, late, {"ok": 9})
    names = ["unprotected", "optimistic", "pessimistic"]
    matrix = matrix_of([kept, caught, bad], names, list(FAULTS), [NotRun("pessimistic", "redis-kill", "has no Redis")])
    return ring_document(ENVIRONMENT, {"seed": 7, "seconds": 6.0}, [kept, caught, bad], matrix)


def deadlock():
    """What the deadlock bench found: one experiment ended as it must, one did not."""
    experiments = [
        {
            "part": "load",
            "name": name,
            "removed": removed,
            "expected": "deadlocks",
            "observed": f"{victims} deadlocks",
            "held": held,
            "figures": {"baskets_s": rate, "deadlocks": victims, "wasted_share": 0.25},
        }
        for name, removed, victims, rate, held in (
            ("row by row, as asked", "", 11, 1.7, True),
            ("row by row, sorted", "circular wait", 0, 208.4, False),
        )
    ]
    graphs = {"opposite order": {"drawing": "A --> B\nB --> A", "source": "s", "circular": True, "waits": []}}
    found = {"database": "postgres", "experiments": experiments, "graphs": graphs, "left_out": ["<pool>"]}
    return {"schema": "stockade.lab/3", "environment": ENVIRONMENT, "deadlock": found}


def claim(name="attempts", verdict="holds only when", **changes):
    """A claim that was measured."""
    sweep = [{"buyers": n, "optimistic_ms": a, "pessimistic_ms": b} for n, a, b in ((1, 2, 3), (10, 5, 6), (40, 9, 7))]
    values = {
        "name": name,
        "says": "Optimistic control is the fast one.",
        "source": "both reports",
        "database": "postgres",
        "left_out": "",
        "measured": ["1 buyer: 2 ms", "40 buyers: 9 ms"],
        "verdict": verdict,
        "why": "conflicts are rare",
        "as_expected": True,
        "figures": {"sweep": sweep} if name == "attempts" else {},
    }
    return values | changes


def claims_document(*claims):
    """A document of `stockade lab claims`."""
    return {"schema": "stockade.lab/3", "environment": ENVIRONMENT, "claims": list(claims or [claim()])}


def sweep(values=(5, 30, 120), *, database="postgres", unmeasured=(), **options):
    """A sweep in which the order of two strategies flips, with a point that does not count.

    Args:
        values: of the axis `buyers`.
        database: on which it was.
        unmeasured: pairs of a strategy and a member of its resources that were not measured.
        options: of `made_document`.
    """
    complexity = {
        "strategy": "pessimistic",
        "own_lines": 57,
        "further_lines": 12,
        "services": {},
        "settings": ["wait_s"],
        "failure_modes": ["process-kill"],
        "dependencies": [],
    }
    walls = {"optimistic": (33, 100, 300)[: len(values)], "pessimistic": (60, 70, 71)[: len(values)]}
    usual = {"broke": [("optimistic", 120)], "complexity": [complexity], "complete": False}
    usual["left_out"] = {"latency": "needs a private server"}
    found = made_document("buyers", values, walls, **usual | options)
    found["environment"] = ENVIRONMENT
    found["sweep"]["settings"]["database"] = database
    for point in found["sweep"]["points"]:
        point["database"] = database
        for each in point["samples"]:
            each["resources"]["database_cpu_ms"] = 30.0
            for name in (name for strategy, name in unmeasured if strategy == point["strategy"]):
                each["resources"][name] = None
    return json.loads(json.dumps(found))


def source(folder, values, name="lab.json"):
    """The source of these values, read from a file."""
    file = folder / name
    file.write_text(json.dumps(values), encoding="utf-8")
    return read_source(str(file))
