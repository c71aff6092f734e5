"""`stockade lab soak`: long recordings whose workload, strategy and faults are drawn from a seed."""

import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stockade.cli.exit_codes import FAILED, OK
from stockade.cli.lab.common import check_target, one_line_errors, run_loop, write
from stockade.cli.lab.parts import (
    ALL,
    Databases,
    Faults,
    Histories,
    Strategies,
    Workloads,
    console_of,
    parts_of,
    print_lines,
)

if TYPE_CHECKING:
    from rich.console import Console

    from stockade.core import JsonValue
    from stockade.lab.ring.cell import CellResult
    from stockade.lab.ring.design import Parts
    from stockade.lab.ring.soak import Round

Minutes = Annotated[float, typer.Option(metavar="N", help="No round begins after this time.")]
Seconds = Annotated[float, typer.Option(metavar="N", help="Seconds of load in each round.")]
Seed = Annotated[int | None, typer.Option(metavar="N", help="Decides every round; default: another one each time.")]
RoundOption = Annotated[int, typer.Option("--round", metavar="N", help="Only this round of the seed; 0: all.")]
KeepGoing = Annotated[bool, typer.Option("--keep-going", help="Go on after a violation.")]
Json = Annotated[
    str, typer.Option("--json", metavar="FILE", help="Write the JSON document to this file; - is standard output.")
]
SEED_BITS = 32


def soak(
    *,
    minutes: Minutes = 10.0,
    seconds: Seconds = 60.0,
    seed: Seed = None,
    only: RoundOption = 0,
    keep_going: KeepGoing = False,
    databases: Databases = "",
    strategies: Strategies = "",
    faults: Faults = ALL,
    workloads: Workloads = ALL,
    histories: Histories = "soak-histories",
    json_to: Json = "",
) -> None:
    """Record long rounds under faults that a seed draws, until one fails.

    Each round has another strategy, database, workload and mix of faults, at
    times that the seed decides. Only strategies take part that claim to break
    no rule under these faults. A round prints one line; one that fails also
    its violations and the command that plays it again.

    Exit code 0: no rule was broken. 1: one was, or a round could not be
    recorded. 2: the lab could not run.
    """
    from stockade.lab.errors import LabError
    from stockade.lab.reporting.environment import describe_machine
    from stockade.lab.ring.document import document
    from stockade.lab.ring.expectation import kept
    from stockade.lab.ring.matrix import matrix_of
    from stockade.lab.ring.report import closing_lines
    from stockade.lab.ring.usual_parts import left_out

    with one_line_errors():
        check_target(json_to)
        if seconds <= 0 or minutes < 0 or only < 0:
            raise LabError("--seconds must be more than 0, --minutes and --round 0 or more")
        parts = parts_of(databases, strategies, faults, workloads)
        console = console_of(json_to)
        settings: dict[str, JsonValue] = {
            "seed": secrets.randbits(SEED_BITS) if seed is None else seed,
            "seconds": seconds,
            "minutes": minutes,
        }
        print_lines(console, [f"seed {settings['seed']}"])
        results = run_loop(_run(console, parts, settings, keep_going=keep_going, only=only, histories=histories))
        matrix = matrix_of(results, parts.contender_names, parts.fault_names)
        print_lines(console, ["", *closing_lines(matrix, results, left_out(parts), console.width)])
        if json_to:
            write(json_to, json.dumps(document(describe_machine(), settings, results, matrix), indent=2) + "\n")
    raise typer.Exit(OK if kept(results) else FAILED)


async def _run(
    console: "Console",
    parts: "Parts",
    settings: "dict[str, JsonValue]",
    *,
    keep_going: bool,
    only: int,
    histories: str,
) -> "list[CellResult]":
    """Run the rounds over servers that they share; SIGTERM ends these too."""
    from stockade.lab.ring.player import CellRunner
    from stockade.lab.ring.recording_player import RecordingPlayer
    from stockade.lab.ring.report import round_lines
    from stockade.lab.ring.soak import Soak
    from stockade.lab.site.site_servers import SiteServers

    seed, seconds, minutes = (
        int(str(settings["seed"])),
        float(str(settings["seconds"])),
        float(str(settings["minutes"])),
    )

    def report(drawn: "Round", result: "CellResult") -> None:
        print_lines(console, round_lines(drawn, result, seed, seconds))

    async with SiteServers() as servers:
        runner = CellRunner(RecordingPlayer(parts, seconds, servers, drawn=True), seconds, Path(histories))
        return await Soak(parts, runner, seed, minutes, keep_going, only).run(report)
