"""`stockade lab ring`: plays every cell of the ring, and prints what was claimed against what was observed."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from stockade.cli.exit_codes import FAILED, OK
from stockade.cli.lab.common import (
    LEAST_SECONDS,
    LONGEST_SEED,
    MOST_SECONDS,
    check_target,
    one_line_errors,
    plural,
    run_interruptible,
    write,
)
from stockade.cli.lab.parts import (
    ALL,
    Complete,
    Databases,
    Faults,
    Histories,
    Json,
    Strategies,
    Workloads,
    as_given,
    console_of,
    names_in,
    parts_of,
    print_lines,
    refuse_incomplete,
    repeating,
)
from stockade.cli.numbers import count, decimal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from stockade.core import JsonValue
    from stockade.lab.ring.cell import CellResult
    from stockade.lab.ring.design import Design, Parts
    from stockade.lab.ring.ring import Progress
    from stockade.lab.ring.state_file import StateFile

Seed = Annotated[int, count("Decides the cells and each recording: equal seeds play the same ring.", 0, LONGEST_SEED)]
Seconds = Annotated[float, decimal("Seconds of load in each cell.", LEAST_SECONDS, MOST_SECONDS)]
CellOption = Annotated[
    list[str] | None,
    typer.Option("--cell", metavar="ID,…", help="Only these cells, by their ids; of the ring of this seed or not."),
]
RecordingSeed = Annotated[
    int | None,
    count("Record the one cell of --cell with this seed, as the line of a cell that failed says.", 0, LONGEST_SEED),
]
State = Annotated[
    str,
    typer.Option("--state", metavar="FILE", help="Keep finished cells in this file; an interrupted ring goes on."),
]
List = Annotated[bool, typer.Option("--list", help="Print the ids of the cells, and play none.")]
DEFAULT_SEED, DEFAULT_SECONDS = 1, 4.0


def ring(
    *,
    seed: Seed = DEFAULT_SEED,
    seconds: Seconds = DEFAULT_SECONDS,
    cell: CellOption = None,
    recording_seed: RecordingSeed = None,
    databases: Databases = "",
    strategies: Strategies = "",
    faults: Faults = "",
    workloads: Workloads = "",
    state: State = "",
    histories: Histories = "ring-histories",
    complete: Complete = False,
    only_list: List = False,
    json_to: Json = "",
) -> None:
    """Play a covering array of recordings under faults, and compare claims.

    Each cell is one recording on a database under a strategy, faults and a
    workload; together they have every pair of these that can be. Cells of
    negative controls must break a rule. The history of a cell that fails is
    kept, and its line says how to play it again.

    Exit code 0: every strategy did what it claims and every control was
    caught. 1: one did not, or was not, or a cell could not be recorded, or in
    no cell did all of its faults act; with --complete also if a fault did not
    act in a cell. 2: the lab could not run.
    """
    with one_line_errors():
        check_target(json_to)
        check_target(state, "--state", appended=True)
        cells = ",".join(cell or ())
        parts = parts_of(databases, strategies, faults or (ALL if cells else ""), workloads or (ALL if cells else ""))
        found, left_out = _designed(parts, cells, seed)
        if complete:
            refuse_incomplete(left_out)
        for each in _never_played(found, names_in(faults)) if faults not in ("", ALL) and not cells else ():
            typer.echo(f"not played: {each}", err=True)
        console = console_of(json_to)
        if only_list:
            print_lines(console, [each.id for each in found.cells])
            for each in left_out:  # beside the ids, which another command may read
                typer.echo(f"left out: {each}", err=True)
            raise typer.Exit(OK)
        given = as_given(cell=cells, databases=databases, strategies=strategies, faults=faults, workloads=workloads)
        if recording_seed is not None and (state or len(found.cells) != 1 or not cells):
            raise ValueError("--recording-seed: name one --cell, and no --state")
        played = _Ring(console, parts, found, {"seed": seed, "seconds": seconds}, given, left_out, recording_seed)
        kept = played.play(state, histories, json_to, complete=complete)
    raise typer.Exit(OK if kept else FAILED)


def _designed(parts: "Parts", cell: str, seed: int) -> "tuple[Design, list[str]]":
    """The cells to play, and what is left out on this machine: nothing where cells are named.

    Raises:
        LabError: there is no cell, or one that is named cannot be played.
    """
    from stockade.lab.errors import LabError
    from stockade.lab.ring.design import Design, design
    from stockade.lab.ring.usual_parts import left_out

    missing = left_out(parts)
    if named := names_in(cell):
        for name in named:
            words = {word for part in name.split(".") for word in part.split("+")}
            for reason in missing:
                if reason.partition(":")[0].partition(" ")[2] in words:
                    raise LabError(f"cell {name}: {reason}")
        return Design(tuple(parts.find(name) for name in named), ()), []
    found = design(parts, seed)
    if not found.cells:
        reasons = "; ".join(dict.fromkeys(f"{each.contender}: {each.reason}" for each in found.not_run))
        raise LabError(f"the ring of these options has no cell{': ' * bool(reasons)}{reasons}")
    return found, missing


def _never_played(found: "Design", asked: "Sequence[str]") -> list[str]:
    """Of the faults that were asked for, those that no cell has, each with the reasons.

    Raises:
        LabError: none of them is in a cell, so all cells would be without a fault.
    """
    from stockade.lab.errors import LabError

    played = {fault for cell in found.cells for fault in cell.faults}
    reasons = {
        fault: "; ".join(
            dict.fromkeys(f"{each.contender}: {each.reason}" for each in found.not_run if each.fault == fault)
        )
        for fault in dict.fromkeys(asked)
        if fault not in played
    }
    lines = [f"the fault {fault}{f' ({why})' if why else ''}" for fault, why in reasons.items()]
    if asked and not played:
        raise LabError(f"the ring of these options has no cell with {', '.join(lines)}")
    return lines


class _Ring(NamedTuple):
    """What is played, and where its lines go."""

    console: "Console"
    parts: "Parts"
    design: "Design"
    settings: "dict[str, JsonValue]"
    given: str
    left_out: "list[str]"
    recording_seed: int | None = None

    def play(self, state: str, histories: str, json_to: str, *, complete: bool) -> bool:
        """Play the cells that are not finished, and show all of them; whether every claim was kept."""
        from stockade.lab.reporting.installed import lasting
        from stockade.lab.ring.expectation import kept
        from stockade.lab.ring.state_file import StateFile, code

        common = {**self.settings, **lasting(), **code()} if state else {}
        results: list[CellResult] = []
        with StateFile(Path(state) if state else None, common) as file:
            self._play_all(file, state, histories, json_to, results)
        return kept(results, complete=complete)

    def _play_all(
        self, file: "StateFile", state: str, histories: str, json_to: str, results: "list[CellResult]"
    ) -> None:
        from stockade.lab.ring.matrix import matrix_of
        from stockade.lab.ring.report import closing_lines

        cells = self.design.cells
        if known := sum(each.id in file.finished for each in cells):
            done = f"{known} of {plural(len(cells), 'cell')} {'is' if known == 1 else 'are'} finished in {state}"
            print_lines(self.console, [f"{done}; {'the others are' if known < len(cells) else 'none is'} played"])

        def stopped() -> None:
            """Say and write what there is."""
            print_lines(self.console, [self._interrupted(len(results), state)])
            self._write(json_to, results, complete=False)

        def keep() -> None:
            """Write what there is: whatever has ended it, that is worth something."""
            if results:
                self._write(json_to, results, complete=False)

        run_interruptible(self._play(file, histories, results), stopped, keep)
        matrix = matrix_of(results, self.parts.contender_names, self.parts.fault_names, self.design.not_run)
        print_lines(self.console, ["", *closing_lines(matrix, results, self.left_out, self.console.width)])
        self._write(json_to, results, complete=True)

    async def _play(self, state: "StateFile", histories: str, results: "list[CellResult]") -> None:
        """Play the cells over servers that they share; each result is there as soon as it is known."""
        from stockade.lab.ring.player import CellRunner
        from stockade.lab.ring.recording_player import RecordingPlayer
        from stockade.lab.ring.report import cell_lines
        from stockade.lab.ring.ring import Ring
        from stockade.lab.site.site_servers import SiteServers

        seed, seconds = int(str(self.settings["seed"])), float(str(self.settings["seconds"]))

        async with SiteServers() as servers:
            runner = CellRunner(RecordingPlayer(self.parts, seconds, servers), seconds, Path(histories))
            played = Ring(self.parts, self.design.cells, runner, seed, state, self.recording_seed)

            def report(progress: "Progress") -> None:
                results.append(progress.result)
                print_lines(self.console, cell_lines(progress, played))

            await played.play(report)

    def _interrupted(self, finished: int, state: str) -> str:
        done = f"interrupted: {finished} of {plural(len(self.design.cells), 'cell')}"
        if not state:
            return f"{done} played, none kept: --state FILE keeps them"
        again = f"stockade lab ring{as_given(state=state)} {self._options()}"
        return f"{done} kept in {state}; go on with: {again}"

    def _options(self) -> str:
        """What decides the cells and their recordings."""
        seed = "" if self.recording_seed is None else f" --recording-seed {self.recording_seed}"
        return f"--seed {self.settings['seed']} --seconds {self.settings['seconds']:.9g}{seed}{self.given}"

    def _write(self, json_to: str, results: "list[CellResult]", *, complete: bool) -> None:
        from stockade.lab.reporting.installed import environment
        from stockade.lab.ring.document import document
        from stockade.lab.ring.matrix import matrix_of

        if not json_to:
            return
        matrix = matrix_of(results, self.parts.contender_names, self.parts.fault_names, self.design.not_run)
        settings = repeating(f"stockade lab ring {self._options()}", self.parts, self.settings)
        found = document(environment(), settings, results, matrix, complete=complete)
        write(json_to, json.dumps(found, indent=2) + "\n")
