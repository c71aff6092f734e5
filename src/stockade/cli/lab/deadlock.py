"""`stockade lab deadlock`: a deadlock made on purpose, and the four conditions taken away one at a time.

`stockade.lab.deadlock` does the work. Neighbour: `claims.py` has the reports' other claims.
"""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from stockade.cli.exit_codes import FAILED, OK
from stockade.cli.lab.common import check_target, one_line_errors, plural, run_loop, write
from stockade.cli.lab.parts import Json
from stockade.cli.output.table import render, screen_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stockade.core import JsonValue
    from stockade.lab.deadlock.experiments import Results
    from stockade.lab.deadlock.finding import Finding

HEADS = ("", "experiment", "takes away", "must be", "was")
LOAD_HEADS = (
    "",
    "way to take the rows",
    "takes away",
    "baskets/s",
    "deadlocks",
    "time-outs",
    "conflicts",
    "refused",
    "repeated",
    "wasted",
)
_FIGURES = ("baskets_s", "deadlocks", "timeouts", "conflicts", "refused", "retried")

Database = Annotated[
    str, typer.Option(metavar="URL", help="sqlite, postgres or mariadb (a private server is started), or a URL.")
]


def deadlock(*, database: Database = "postgres", json_to: Json = "") -> None:
    """Make deadlocks on purpose; see what each way to avoid them costs.

    Two transactions take two rows in opposite order, step by step; the
    database says who waits for whom. Then each of the four conditions is
    taken away (docs/lab.md).

    Exit code 0: every control failed as it must and every cure held. 1: one
    did not. 2: it could not run, or nothing could be played.
    """
    with one_line_errors():
        check_target(json_to)
        raise typer.Exit(OK if run_loop(_run(database, json_to)) else FAILED)


async def _run(database: str, json_to: str) -> bool:
    from stockade.lab.deadlock.experiments import CONNECTIONS, Setting, play_all
    from stockade.lab.errors import LabError
    from stockade.lab.reporting.environment import describe
    from stockade.lab.targets.redis_servers import open_redis
    from stockade.lab.targets.target_database import open_target_database

    async with (
        open_target_database(database, CONNECTIONS) as target,
        open_redis("", 0 if target.name == "sqlite" else 1) as redis,
    ):
        environment = await describe(target)
        setting = Setting(redis=redis.urls[0] if redis.urls else "", tell=_tell)
        result = await play_all(target, setting)
    typer.echo("\n" + shown(result, screen_width()), err=json_to == "-")
    if json_to:
        document: dict[str, JsonValue] = {
            "schema": "stockade.lab/3",
            "environment": environment,
            "deadlock": result.as_json(),
        }
        await asyncio.to_thread(write, json_to, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    if not result.findings:
        raise LabError("nothing was played")
    return result.kept


def _tell(what: str) -> None:
    typer.echo(f"playing: {what}", err=True)


def shown(result: "Results", width: int | None) -> str:
    """The tables, the graphs and what was left out, as text."""
    load = [each for each in result.findings if each.part == "load"]
    parts = [render(HEADS, [_row(each) for each in result.findings if each.part != "load"], width=width)]
    if load:
        heads = LOAD_HEADS[3:]
        parts.append(render(LOAD_HEADS, [_load_row(each) for each in load], width=width, right=heads))
    parts += [f"who waits, {name}:\n{graph.draw()}" for name, graph in result.graphs.items() if graph.circular]
    parts += [f"left out: {why}" for why in result.left_out]
    broken, played = sum(not each.held for each in result.findings), len(result.findings)
    said = "every control failed as it must, and every cure held"
    if broken or not played:
        said = f"{broken} of {plural(played, 'experiment')} did not end as they must"
    left_out = f"; {plural(len(result.left_out), 'thing')} left out" if result.left_out else ""
    parts.append(f"{result.database}: {said}{left_out}")
    return "\n\n".join(parts)


def _mark(finding: "Finding") -> str:
    return "ok" if finding.held else "NOT"


def _row(finding: "Finding") -> "Sequence[str]":
    named = f"{finding.part}: {finding.name}"
    return (_mark(finding), named, finding.removed or "nothing (control)", finding.expected, finding.observed)


def _load_row(finding: "Finding") -> "Sequence[str]":
    numbers = [str(finding.figures[name]) for name in _FIGURES]
    wasted = f"{float(str(finding.figures['wasted_share'])):.0%}"
    return (_mark(finding), finding.name, finding.removed or "nothing (control)", *numbers, wasted)
