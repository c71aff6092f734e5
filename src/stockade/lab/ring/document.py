"""The JSON document of a ring (docs/lab.md): each cell, and the matrix of all. Pure functions."""

from collections.abc import Mapping, Sequence

from stockade.core import JsonValue
from stockade.lab.history.history_file import SCHEMA
from stockade.lab.ring.cell import CellResult
from stockade.lab.ring.expectation import NOT_RUN, controls_not_caught, kept, not_exposed
from stockade.lab.ring.matrix import Matrix


def document(
    environment: Mapping[str, JsonValue],
    settings: Mapping[str, JsonValue],
    results: Sequence[CellResult],
    matrix: Matrix,
    *,
    complete: bool = True,
) -> dict[str, JsonValue]:
    """The whole document as JSON values.

    Args:
        environment: machine, date, versions of packages and servers.
        settings: what repeats the ring: the command, seeds, times, what took part, and the code.
        results: of every cell.
        matrix: of all together.
        complete: whether every cell was played; one that was interrupted has not kept its claims.
    """
    verdicts: list[JsonValue] = [
        {"strategy": name, "fault": fault, "verdict": matrix.verdicts[name, fault]}
        for name in matrix.contenders
        for fault in matrix.faults
        if (name, fault) in matrix.verdicts
    ]
    not_run: list[JsonValue] = [
        {"strategy": each.contender, "fault": each.fault, "verdict": NOT_RUN, "reason": each.reason}
        for each in matrix.not_run
    ]
    return {
        "schema": SCHEMA,
        "environment": dict(environment),
        "settings": dict(settings),
        "complete": complete,
        "kept": complete and kept(results),
        "controls_not_caught": list(controls_not_caught(results)),
        "not_exposed": list(not_exposed(results)),
        "cells": [each.as_json() for each in results],
        "matrix": [*verdicts, *not_run],
    }
