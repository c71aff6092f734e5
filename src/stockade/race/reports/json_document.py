"""A race as a document of JSON, `stockade.race/1`; docs/race.md describes it. Neighbour: `junit.py`, the other form."""

import json
from collections.abc import Mapping
from typing import Any

from stockade.race.hiding import hide_all
from stockade.race.result import Answer, Observation, RaceResult, Round, Violation

SCHEMA = "stockade.race/1"


def json_text(result: RaceResult, secrets: Mapping[str, str]) -> str:
    """The document, as text with a line break at its end.

    Args:
        result: of the race.
        secrets: value -> name of what must not stand in it.
    """
    hidden = hide_all(_document(result), secrets)  # before quotes in them are escaped
    return json.dumps(hidden, indent=2, ensure_ascii=False, default=str) + "\n"


def without_verdict(name: str, reason: str) -> str:
    """The document of a race that could not be run.

    Args:
        name: of the scenario.
        reason: one line, without secrets.
    """
    document = {"schema": SCHEMA, "scenario": name, "passed": None, "error": reason}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _document(result: RaceResult) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "scenario": result.name,
        "target": result.target,
        "passed": result.passed,
        "error": None,
        "buyers": result.buyers,
        "rate_per_s": result.rate_per_s or None,
        "most_rounds": result.most_rounds,
        "invariants": dict(result.invariants),
        "rounds": [_round(each, open_loop=bool(result.rate_per_s)) for each in result.rounds],
    }


def _round(done: Round, *, open_loop: bool) -> dict[str, Any]:
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {
        "round": done.number,
        "lateness_ms" if open_loop else "spread_ms": round(done.spread_s * 1000, 3),
        "at_once": done.at_once,
        "answers": {kind.value: count for kind, count in done.counts.items()},
        "latency_ms": {name: round(done.latency_s(share) * 1000, 3) for name, share in shares.items()},
        "reads": _reads(done.reads),
        "violations": [_violation(each) for each in done.violations],
        "errors": [_answer(each) for each in done.errors],
        "not_cleaned": done.not_cleaned or None,
    }


def _violation(violation: Violation) -> dict[str, Any]:
    return {
        "invariant": violation.name,
        "rule": violation.rule,
        "found": violation.shown,
        "reads": _reads(violation.reads),
        "answers_in_all": violation.answers_in_all,
        "answers": [_answer(each) for each in violation.answers],
    }


def _reads(reads: Mapping[str, Observation]) -> dict[str, Any]:
    return {name: {"value": each.value, "source": each.source} for name, each in reads.items()}


def _answer(answer: Answer) -> dict[str, Any]:
    response = answer.response
    return {
        "buyer": answer.buyer,
        "key": answer.key,
        "request": answer.request,
        "latency_ms": round(answer.latency_s * 1000, 3),
        "status": response.status if response else None,
        "body": response.body.decode(errors="replace") if response else None,
        "error": answer.error or None,
    }
