"""`stockade lab claims`: what the reports say, measured here. `stockade.lab.claims` does the work.

Neighbour: `deadlock.py` has what they say about deadlocks.
"""

import asyncio
import json
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from stockade.cli.exit_codes import FAILED, OK
from stockade.cli.lab.common import check_target, one_line_errors, plural, run_loop, write
from stockade.cli.lab.deadlock import Database
from stockade.cli.lab.parts import Json
from stockade.cli.output.table import screen_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stockade.core import JsonValue
    from stockade.lab.claims.claim import Answer, Claim

PIPE_WIDTH = 120

Names = Annotated[str, typer.Argument(metavar="[NAME,…]", help="Claims separated by commas; empty: all.")]


def claims(names: Names = "", *, database: Database = "postgres", json_to: Json = "") -> None:
    """Measure what the reports claim; see which claims hold, and when.

    Each claim prints what the report says, what was measured, and the verdict:
    holds, false, holds only when, or not shown (docs/lab.md).

    Exit code 0: every measurement's control failed as it must. 1: one did not.
    2: a claim could not be measured, or every one was left out.
    """
    from stockade.lab.claims import find

    with one_line_errors():
        check_target(json_to)
        raise typer.Exit(OK if run_loop(_run(find(names), database, json_to)) else FAILED)


async def _run(wanted: "Sequence[Claim]", database: str, json_to: str) -> bool:
    from stockade.devservers import Servers, existing_url
    from stockade.lab.claims.answers import CONNECTIONS, answer_all
    from stockade.lab.claims.claim import Tools
    from stockade.lab.errors import LabError
    from stockade.lab.reporting.environment import describe
    from stockade.lab.targets.target_database import open_target_database

    answers: list[Answer] = []
    named = existing_url("redis")
    with Servers() as servers:
        async with open_target_database(database, CONNECTIONS) as target:
            environment = await describe(target)
            tools = Tools(target, servers, (named,) if named else ())
            async for answer in answer_all(wanted, tools):
                answers.append(answer)
                typer.echo(shown(answer, screen_width() or PIPE_WIDTH) + "\n", err=json_to == "-")
    if json_to:
        found: list[JsonValue] = [answer.as_json() for answer in answers]
        document: dict[str, JsonValue] = {
            "schema": "stockade.lab/3",
            "environment": environment,
            "claims": found,
        }
        await asyncio.to_thread(write, json_to, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    typer.echo(closing_line(answers), err=json_to == "-")
    if all(answer.measured is None for answer in answers):
        raise LabError("nothing was measured")
    if failed := [answer.claim.name for answer in answers if answer.failed]:
        raise LabError(f"could not be measured, the reasons are above: {', '.join(failed)}")
    return all(answer.kept is not False for answer in answers)


def closing_line(answers: "Sequence[Answer]") -> str:
    """How many claims were measured, and which were not."""
    missing = [answer.claim.name for answer in answers if answer.measured is None]
    broken = sum(answer.kept is False for answer in answers)
    left_out = f", {len(missing)} left out: {', '.join(missing)}" if missing else ""
    doubt = f", {broken} not to be trusted" if broken else ""
    return f"{len(answers) - len(missing)} of {plural(len(answers), 'claim')} measured{doubt}{left_out}"


def shown(answer: "Answer", width: int) -> str:
    """A claim, what was measured and the verdict, as text."""
    claim, found = answer.claim, answer.measured
    lines = [f"{claim.name}: {claim.says} ({claim.source})"]
    if found is None:
        lines.append(f"  left out: {answer.left_out}")
    else:
        lines += [f"  measured on {answer.database}, {answer.seconds:.1f} s:", *(f"    {line}" for line in found.lines)]
        lines.append(f"  verdict: {found.verdict}{' ' if found.verdict.endswith('when') else ': '}{found.why}")
        if not found.as_expected:
            lines.append("  NOT TO BE TRUSTED: a control did not fail as it must, or a cure did not hold")
    return "\n".join(part for line in lines for part in _wrapped(line, width))


def _wrapped(line: str, width: int) -> list[str]:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(line, width, subsequent_indent=indent, break_on_hyphens=False)
