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
    repeating,
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
RecordingSeed = Annotated[
    int | None,
    count("Record the round of --round with this seed, as the line of a round that failed says.", 0, LONGEST_SEED),
]
KeepGoing = Annotated[bool, typer.Option("--keep-going", help="Go on after a violation.")]


def soak(
    *,
    minutes: Minutes = 10.0,
    seconds: Seconds = 60.0,
    seed: Seed = None,
    only: RoundOption = 0,
    recording_seed: RecordingSeed = None,
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
    its violations and the command that plays it again. A round in which a
    fault did not act is played once more.

    Exit code 0: no rule was broken. 1: one was, a round could not be
    recorded, or in no round did all of its faults act. 2: the lab could not
    run.
    """
    from stockade.lab.ring.expectation import kept
    from stockade.lab.ring.usual_parts import left_out

    with one_line_errors():
        check_target(json_to)
        parts = parts_of(databases, strategies, faults, workloads)
        missing = left_out(parts)
        if complete:
            refuse_incomplete(missing)
        seed = secrets.randbits(SEED_BITS) if seed is None else seed
        settings: dict[str, JsonValue] = {"seed": seed, "seconds": seconds, "minutes": minutes}
        given = as_given(
            databases=databases,
            strategies=strategies,
            faults="" if faults == ALL else faults,
            workloads="" if workloads == ALL else workloads,
        )
        if recording_seed is not None and not only:
            raise ValueError("--recording-seed: name one --round")
        soaked = _Soak(console_of(json_to), parts, settings, given, Path(histories), keep_going, only, recording_seed)
        results = soaked.play(missing, json_to)
    raise typer.Exit(OK if kept(results, complete=complete) else FAILED)


class _Soak(NamedTuple):
    """What is played, and where its lines go."""

    console: "Console"
    parts: "Parts"
    settings: "dict[str, JsonValue]"
    given: str
    histories: Path
    keep_going: bool
    only: int
    recording_seed: int | None

    def play(self, left_out: "list[str]", json_to: str) -> "list[CellResult]":
        """Play the rounds, and show them all; what was found is shown and written however it ends."""
        from stockade.lab.ring.matrix import matrix_of
        from stockade.lab.ring.report import closing_lines
        from stockade.lab.ring.soak import gave_up

        print_lines(self.console, [f"seed {self.settings['seed']}"])
        results: list[CellResult] = []

        def stopped() -> None:
            """Say and write what there is, and how the round that was cut off is played again."""
            where = f" kept in {json_to}" if json_to else ", none kept: --json FILE keeps them"
            again = f"stockade lab soak --round {self.only or len(results) + 1} {self._drawn()}"
            done = f"interrupted: {plural(len(results), 'round')}{where}; the round that was cut off: {again}"
            print_lines(self.console, [done])
            self._write(json_to, results, complete=False)

        def keep() -> None:
            """Write what there is: whatever has ended it, that is worth something."""
            if results:
                self._write(json_to, results, complete=False)

        run_interruptible(self._play(results), stopped, keep)
        matrix = matrix_of(results, self.parts.contender_names, self.parts.fault_names)
        print_lines(self.console, ["", *closing_lines(matrix, results, left_out, self.console.width)])
        if why := gave_up(results):
            print_lines(self.console, [why])
        self._write(json_to, results, complete=not why)
        return results

    def _drawn(self) -> str:
        """What decides each round, and its recording."""
        recording = "" if self.recording_seed is None else f" --recording-seed {self.recording_seed}"
        return f"--seed {self.settings['seed']} --seconds {self.settings['seconds']:.9g}{recording}{self.given}"

    async def _play(self, results: "list[CellResult]") -> None:
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
            played = Soak(
                self.parts,
                runner,
                seed,
                minutes,
                keep_going=self.keep_going,
                only=self.only,
                recording_seed=self.recording_seed,
            )

            def report(drawn: "Round", result: "CellResult") -> None:
                results.append(result)
                print_lines(self.console, round_lines(drawn, result, played, self.given))

            await played.run(report)

    def _write(self, json_to: str, results: "list[CellResult]", *, complete: bool) -> None:
        from stockade.lab.reporting.installed import environment
        from stockade.lab.ring.document import document
        from stockade.lab.ring.matrix import matrix_of

        if not json_to:
            return
        matrix = matrix_of(results, self.parts.contender_names, self.parts.fault_names)
        which = f"--round {self.only}" if self.only else f"--minutes {self.settings['minutes']:.9g}"
        going = " --keep-going" * self.keep_going
        settings = repeating(f"stockade lab soak {which}{going} {self._drawn()}", self.parts, self.settings)
        found = document(environment(), settings, results, matrix, complete=complete)
        write(json_to, json.dumps(found, indent=2) + "\n")
