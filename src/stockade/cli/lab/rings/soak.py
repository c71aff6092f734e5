"""`stockade lab soak`: long recordings whose workload, strategy and faults are drawn from a seed."""

import json
import secrets
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
    parts_of,
    print_lines,
    refuse_incomplete,
)
from stockade.cli.numbers import count, decimal, whole

if TYPE_CHECKING:
    from rich.console import Console

    from stockade.core import JsonValue
    from stockade.lab.ring.cell import CellResult
    from stockade.lab.ring.design import Parts
    from stockade.lab.ring.soak import Round

SEED_BITS = 32
MOST_ROUNDS = 1_000_000

Minutes = Annotated[float, decimal("No round begins after this time.", 0.1, 10_080.0)]
Seconds = Annotated[float, decimal("Seconds of load in each round.", LEAST_SECONDS, MOST_SECONDS)]
Seed = Annotated[int | None, count("Decides every round; default: another one each time.", 0, LONGEST_SEED)]
RoundOption = Annotated[
    int, typer.Option("--round", metavar="COUNT", parser=whole(0, MOST_ROUNDS), help="Only this round; 0: all.")
]
KeepGoing = Annotated[bool, typer.Option("--keep-going", help="Go on after a violation.")]


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
    complete: Complete = False,
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
    from stockade.lab.ring.expectation import kept
    from stockade.lab.ring.usual_parts import left_out

    with one_line_errors():
        check_target(json_to)
        parts = parts_of(databases, strategies, faults, workloads)
        missing = left_out(parts)
        if complete:
            refuse_incomplete(missing)
        settings: dict[str, JsonValue] = {
            "seed": secrets.randbits(SEED_BITS) if seed is None else seed,
            "seconds": seconds,
            "minutes": minutes,
        }
        given = as_given(
            databases=databases,
            strategies=strategies,
            faults="" if faults == ALL else faults,
            workloads="" if workloads == ALL else workloads,
        )
        soaked = _Soak(console_of(json_to), parts, settings, given, Path(histories))
        results = soaked.play(missing, json_to, keep_going=keep_going, only=only)
    raise typer.Exit(OK if kept(results, complete=complete) else FAILED)


class _Soak(NamedTuple):
    """What is played, and where its lines go."""

    console: "Console"
    parts: "Parts"
    settings: "dict[str, JsonValue]"
    given: str
    histories: Path

    def play(self, left_out: "list[str]", json_to: str, *, keep_going: bool, only: int) -> "list[CellResult]":
        """Play the rounds, and show them all; what was found is shown and written however it ends."""
        from stockade.lab.ring.matrix import matrix_of
        from stockade.lab.ring.report import closing_lines
        from stockade.lab.ring.soak import gave_up

        print_lines(self.console, [f"seed {self.settings['seed']}"])
        results: list[CellResult] = []

        def interrupted() -> None:
            """Say and write what there is, and how the round that was cut off is played again."""
            where = f" kept in {json_to}" if json_to else ", none kept: --json FILE keeps them"
            drawn = f"--seed {self.settings['seed']} --seconds {self.settings['seconds']:.9g}{self.given}"
            again = f"stockade lab soak --round {only or len(results) + 1} {drawn}"
            done = f"interrupted: {plural(len(results), 'round')}{where}; the round that was cut off: {again}"
            print_lines(self.console, [done])
            self._write(json_to, results, complete=False)

        run_interruptible(self._play(results, keep_going=keep_going, only=only), interrupted)
        matrix = matrix_of(results, self.parts.contender_names, self.parts.fault_names)
        print_lines(self.console, ["", *closing_lines(matrix, results, left_out, self.console.width)])
        if why := gave_up(results):
            print_lines(self.console, [why])
        self._write(json_to, results, complete=not why)
        return results

    async def _play(self, results: "list[CellResult]", *, keep_going: bool, only: int) -> None:
        """Play the rounds over servers that they share; each result is there as soon as it is known."""
        from stockade.lab.ring.player import CellRunner
        from stockade.lab.ring.recording_player import RecordingPlayer
        from stockade.lab.ring.report import round_lines
        from stockade.lab.ring.soak import Soak
        from stockade.lab.site.site_servers import SiteServers

        seed, seconds, minutes = (
            int(str(self.settings["seed"])),
            float(str(self.settings["seconds"])),
            float(str(self.settings["minutes"])),
        )

        async with SiteServers() as servers:
            runner = CellRunner(RecordingPlayer(self.parts, seconds, servers, drawn=True), seconds, self.histories)
            played = Soak(self.parts, runner, seed, minutes, keep_going, only)

            def report(drawn: "Round", result: "CellResult") -> None:
                results.append(result)
                print_lines(self.console, round_lines(drawn, result, played, self.given))

            await played.run(report)

    def _write(self, json_to: str, results: "list[CellResult]", *, complete: bool) -> None:
        from stockade.lab.reporting.environment import describe_machine
        from stockade.lab.ring.document import document
        from stockade.lab.ring.matrix import matrix_of

        if not json_to:
            return
        matrix = matrix_of(results, self.parts.contender_names, self.parts.fault_names)
        found = document(describe_machine(), self.settings, results, matrix, complete=complete)
        write(json_to, json.dumps(found, indent=2) + "\n")
