"""`stockade lab ring`: plays every cell of the ring, and prints what was claimed against what was observed."""

import json
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
    names_in,
    parts_of,
    print_lines,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from stockade.core import JsonValue
    from stockade.lab.ring.cell import Cell, CellResult
    from stockade.lab.ring.design import Design, Parts
    from stockade.lab.ring.state_file import StateFile

Seed = Annotated[
    int, typer.Option(metavar="N", help="Decides the cells and each recording: equal seeds play the same ring.")
]
Seconds = Annotated[float, typer.Option(metavar="N", help="Seconds of load in each cell.")]
CellOption = Annotated[
    str, typer.Option("--cell", metavar="ID,…", help="Only these cells, by their ids; of the ring of this seed or not.")
]
State = Annotated[
    str,
    typer.Option("--state", metavar="FILE", help="Keep finished cells in this file; an interrupted ring goes on."),
]
List = Annotated[bool, typer.Option("--list", help="Print the ids of the cells, and play none.")]
Json = Annotated[
    str, typer.Option("--json", metavar="FILE", help="Write the JSON document to this file; - is standard output.")
]
DEFAULT_SEED, DEFAULT_SECONDS = 1, 6.0


def ring(
    *,
    seed: Seed = DEFAULT_SEED,
    seconds: Seconds = DEFAULT_SECONDS,
    cell: CellOption = "",
    databases: Databases = "",
    strategies: Strategies = "",
    faults: Faults = "",
    workloads: Workloads = "",
    state: State = "",
    histories: Histories = "ring-histories",
    only_list: List = False,
    json_to: Json = "",
) -> None:
    """Play a covering array of recordings under faults, and compare claims.

    Each cell is one recording on a database under a strategy, faults and a
    workload; together they have every pair of these that can be. Cells of
    negative controls must break a rule. The history of a cell that fails is
    kept, and its line says how to play it again.

    Exit code 0: every strategy did what it claims and every control was
    caught. 1: one did not, or was not, or a cell could not be recorded.
    2: the lab could not run.
    """
    from stockade.lab.errors import LabError
    from stockade.lab.ring.design import Design, design

    with one_line_errors():
        check_target(json_to)
        if seconds <= 0:
            raise LabError("--seconds must be more than 0")
        parts = parts_of(databases, strategies, faults or (ALL if cell else ""), workloads or (ALL if cell else ""))
        named = tuple(parts.find(name) for name in names_in(cell))
        found = Design(named, ()) if named else design(parts, seed)
        console = console_of(json_to)
        if only_list:
            print_lines(console, [each.id for each in found.cells])
            raise typer.Exit(OK)
        settings: dict[str, JsonValue] = {"seed": seed, "seconds": seconds}
        kept = _ring(console, parts, found, settings, state=state, histories=histories, json_to=json_to)
    raise typer.Exit(OK if kept else FAILED)


def _ring(
    console: "Console",
    parts: "Parts",
    found: "Design",
    settings: "dict[str, JsonValue]",
    *,
    state: str,
    histories: str,
    json_to: str,
) -> bool:
    """Play the cells that are not finished, and show all of them; whether every claim was kept."""
    from stockade.lab.reporting.environment import describe_machine
    from stockade.lab.ring.document import document
    from stockade.lab.ring.expectation import kept
    from stockade.lab.ring.matrix import matrix_of
    from stockade.lab.ring.report import closing_lines
    from stockade.lab.ring.state_file import StateFile
    from stockade.lab.ring.usual_parts import left_out

    file = StateFile(Path(state) if state else None, settings)
    if known := sum(each.id in file.finished for each in found.cells):
        print_lines(console, [f"{known} of {len(found.cells)} cells are finished in {state}; the others are played"])
    results = run_loop(_play(console, parts, found.cells, settings, state=file, histories=histories))
    matrix = matrix_of(results, parts.contender_names, parts.fault_names, found.not_run)
    print_lines(console, ["", *closing_lines(matrix, results, left_out(parts), console.width)])
    if json_to:
        write(json_to, json.dumps(document(describe_machine(), settings, results, matrix), indent=2) + "\n")
    return kept(results)


async def _play(
    console: "Console",
    parts: "Parts",
    cells: "Sequence[Cell]",
    settings: "dict[str, JsonValue]",
    *,
    state: "StateFile",
    histories: str,
) -> "list[CellResult]":
    """Play the cells over servers that they share."""
    from stockade.lab.ring.player import CellRunner
    from stockade.lab.ring.recording_player import RecordingPlayer
    from stockade.lab.ring.report import cell_lines
    from stockade.lab.ring.ring import Ring
    from stockade.lab.site.site_servers import SiteServers

    seed, seconds = int(str(settings["seed"])), float(str(settings["seconds"]))
    async with SiteServers() as servers:
        runner = CellRunner(RecordingPlayer(parts, seconds, servers), seconds, Path(histories))
        ring = Ring(parts, cells, runner, seed, state)
        return await ring.play(lambda progress: print_lines(console, cell_lines(progress, ring)))
