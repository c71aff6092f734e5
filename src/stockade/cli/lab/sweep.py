"""`stockade lab sweep`: the same orders under every strategy while one thing changes. `stockade.lab.sweeps` plays."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stockade.cli.exit_codes import FAILED, OK
from stockade.cli.lab.burst import Database, Kafka, Redis, Workers
from stockade.cli.lab.common import check_target, one_line_errors, plural, run_interruptible
from stockade.cli.lab.parts import PIPE_WIDTH, console_of, names_in, print_lines
from stockade.cli.numbers import count
from stockade.cli.output.table import render

if TYPE_CHECKING:
    from rich.console import Console

    from stockade.lab.sweeps.lines import Table
    from stockade.lab.sweeps.plan import SweepPlan
    from stockade.lab.sweeps.sweep import Progress, Sweep


def _axis(what: str) -> Any:
    return typer.Option(metavar="N,…", help=f"{what} One value: of every point; several: swept.")


Strategies = Annotated[
    str,
    typer.Option(
        metavar="NAME,…",
        help="Names, NAME:fence and NAME:bare; empty: all that can run here, on SQLite without servers.",
    ),
]
Resource = Annotated[str, typer.Option(metavar="NAME", help="Rows that buyers share: stock, or points.")]
Repeats = Annotated[int, count("Rounds; 6 or more give a median an interval of 95 %.", 1, 1_000)]
Thorough = Annotated[bool, typer.Option("--thorough", help="All values of every axis, three bursts in every turn.")]
Buyers = Annotated[str, _axis("Buyers at once.")]
Keys = Annotated[str, _axis("Rows that they share.")]
Section = Annotated[str, _axis("Milliseconds of each transaction between reading and writing.")]
Pool = Annotated[str, _axis("Connections of each process.")]
Processes = Annotated[str, _axis("Processes that take orders.")]
Skew = Annotated[str, _axis("Exponent of Zipf's law by which buyers choose a row.")]
Latency = Annotated[str, _axis("Milliseconds that the database's answers are late; private servers only.")]
Partitions = Annotated[str, _axis("Partitions of the topic, under kafka.")]
Json = Annotated[
    str,
    typer.Option(
        "--json", metavar="FILE", help="Keep every sample in this document; if it is there, the sweep goes on from it."
    ),
]


def sweep(
    *,
    database: Database = "sqlite",
    strategies: Strategies = "",
    resource: Resource = "stock",
    repeats: Repeats = 6,
    thorough: Thorough = False,
    buyers: Buyers = "",
    keys: Keys = "",
    section: Section = "",
    pool: Pool = "",
    processes: Processes = "",
    skew: Skew = "",
    latency: Latency = "",
    partitions: Partitions = "",
    workers: Workers = 1,
    redis: Redis = "",
    kafka: Kafka = "",
    json_to: Json = "",
) -> None:
    """Compare the strategies while one thing changes, and compute where the order flips.

    Without options: buyers, rows, section, pool, processes and skew, on SQLite.
    Each point is played once a round under every strategy, and counts only
    where `unprotected` lost or oversold something in most rounds (docs/sweeps.md).
    How long it will take is printed when it begins. --thorough takes longer.

    Exit code 0: no strategy broke a rule that it claims to keep, and some
    point counts. 1: one did, or none does. 2: the sweep could not run.
    """
    from stockade.lab.ring.state_file import code
    from stockade.lab.sweeps.axes import AXES, read_values
    from stockade.lab.sweeps.choose import complete_plan
    from stockade.lab.sweeps.plan import SweepPlan
    from stockade.lab.sweeps.sweep import Sweep
    from stockade.lab.sweeps.sweep_file import SweepFile

    with one_line_errors():
        _check(json_to, resource)
        given = {"buyers": buyers, "keys": keys, "section": section, "pool": pool, "processes": processes}
        given |= {"skew": skew, "latency": latency, "partitions": partitions}
        chosen = {name: read_values(AXES[name], text) for name, text in given.items() if text}
        usual = SweepPlan((), (), database, resource, repeats, workers=workers, redis=redis, kafka=kafka)
        plan = complete_plan(usual, chosen, names_in(strategies), thorough=thorough)
        found = code()
        played = Sweep(plan, SweepFile(Path(json_to) if json_to else None, plan, found), found)
        raise typer.Exit(OK if _play(played, plan, console_of(json_to), json_to) else FAILED)


def _check(json_to: str, resource: str) -> None:
    """Refuse options that cannot be.

    Raises:
        LabError: the document cannot be kept there, or there is no such resource.
    """
    from stockade.lab.errors import LabError
    from stockade.lab.sweeps.axes import RESOURCES

    if json_to == "-":
        raise LabError("--json takes a file here: the sweep is kept in it while it runs")
    check_target(json_to, replaced=True)
    if resource not in RESOURCES:
        raise LabError(f"--resource takes {' or '.join(RESOURCES)}, not {resource!r}")


def _play(sweep: "Sweep", plan: "SweepPlan", console: "Console", json_to: str) -> bool:
    """Play what is missing and show all of it; whether no claim was broken and some point counts."""
    from stockade.lab.sweeps.lines import time_left

    total, left = len(plan.turns) * plan.repeats, sweep.turns_left
    if left < total:
        print_lines(console, [f"{total - left} of {plural(total, 'turn')} are in {json_to}; the others are played"])
    if left:
        what = f"{plural(plan.repeats, 'round')} of {plural(len(plan.turns), 'turn')}"
        print_lines(console, [f"{what}, {plural(left, 'turn')} to play: {time_left(sweep.left_s)}, by the usual time"])

    def interrupted() -> None:
        """Say what is kept."""
        kept = f"kept in {json_to}; go on with the same command" if json_to else "none kept: --json FILE keeps them"
        print_lines(console, [f"interrupted: {total - sweep.turns_left} of {plural(total, 'turn')} {kept}"])

    run_interruptible(_played(sweep, console), interrupted)
    _show(sweep, plan, console)
    results = sweep.results
    return any(each.counts for each in results) and not any(each.claim_violated for each in results)


async def _played(sweep: "Sweep", console: "Console") -> None:
    from stockade.lab.sweeps.lines import progress_line, time_left

    seen = {"round": -1}
    if console.is_terminal:
        with console.status("opening the servers") as status:
            await sweep.play(lambda progress: status.update(progress_line(progress)))
        return

    def report(progress: "Progress") -> None:
        """One line for each round, where nobody watches."""
        if (number := progress.samples[0].round) != seen["round"]:
            seen["round"] = number
            where = f"round {number + 1}: {progress.done} of {plural(progress.total, 'turn')}"
            print_lines(console, [f"{where}, {time_left(progress.left_s)}"])

    await sweep.play(report)


def _show(sweep: "Sweep", plan: "SweepPlan", console: "Console") -> None:
    from stockade.lab.sweeps import lines as shown
    from stockade.lab.sweeps.analysis.crossovers import crossovers

    results, database = sweep.results, str(plan.settings["database"])
    tables = [*shown.rate_tables(results), shown.cost_table(results, database)]
    for table in [*tables, shown.complexity_table(sweep.complexity)]:
        print_lines(console, ["", *_rendered(table, console)])
    lines = shown.crossover_lines(crossovers(results))
    print_lines(console, ["", *(lines or ["no two strategies of a question were compared"])])
    print_lines(console, [f"left out: {name}: {why}" for name, why in plan.left_out.items()])
    print_lines(console, shown.note_lines(results, plan.turn_s))
    taken = sum({(each.point.setting, each.contender.name): len(each.samples) for each in results}.values())
    print_lines(console, [f"{plural(taken, 'sample')}, {shown.counted_line(results)}"])


def _rendered(table: "Table", console: "Console") -> list[str]:
    width = console.width if console.is_terminal else PIPE_WIDTH
    return [table.title, *render(table.heads, table.rows, width=width, right=table.heads[1:]).splitlines()]
