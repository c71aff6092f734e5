"""`stockade lab` without a word: options in, a table and a JSON document out. `stockade.lab` does the work.

The lab's modules are imported when it runs, so that `stockade --version` starts quickly. Neighbour: `words.py` has the
words.
"""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from stockade.cli.common import AppOption, app_path, application_of
from stockade.cli.exit_codes import FAILED, OK
from stockade.cli.lab.common import check_target, one_line_errors, run_loop, write
from stockade.cli.lab.live import HOST, PORT, serve_live
from stockade.cli.lab.parts import Json, console_of, contenders_of
from stockade.cli.numbers import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from stockade.lab.execution.aimed_fault import AimedFault
    from stockade.lab.model.preset import Variant
    from stockade.lab.reporting.summary import RunSummary
    from stockade.lab.reporting.table import LiveTable
    from stockade.lab.runs.plan import Plan
    from stockade.lab.targets.target_database import TargetDatabase

Preset = Annotated[
    str,
    typer.Option(
        metavar="NAME,…",
        help="Presets: names with commas, NAME:VARIANT for one variant, or all; empty: reference, or all of --app.",
    ),
]
Strategies = Annotated[
    str,
    typer.Option(
        metavar="NAME,…",
        help="Names separated by commas, NAME:fence and NAME:bare for forms of locks; empty: all that can run here.",
    ),
]
Database = Annotated[
    str, typer.Option(metavar="URL", help="sqlite, postgres or mariadb (a private server is started), or a URL.")
]
Redis = Annotated[
    str, typer.Option(metavar="URL,…", help="Redis URLs separated by commas; empty: private servers, when needed.")
]
Kafka = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT,…", help="Kafka brokers, host:port,…; empty: a private one, for the strategy kafka."
    ),
]
Partitions = Annotated[int, count("Partitions of the topic, under kafka.", 1, 64)]
Workers = Annotated[int, count("Processes that decide what is in the topic, under kafka.", 1, 16)]
Processes = Annotated[int, count("Real processes that take orders.", 1, 64)]
Faults = Annotated[
    str, typer.Option(metavar="NAME,…", help="Faults separated by commas, or all: hurt one of two processes, or Redis.")
]
Buyers = Annotated[int | None, count("Buyers at once; default: the preset's.", 1, 10_000)]
Stock = Annotated[int | None, count("Units (or points) at the start.", 0, 1_000_000)]
Repeats = Annotated[int | None, count("Timed repeats of each run.", 1, 10_000)]
Pool = Annotated[int, count("Database connections of each process.", 1, 1_000)]
Live = Annotated[bool, typer.Option("--live", help="Serve a page: choose, run and compare there, step by step too.")]
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="With --live: listen there.")]
Port = Annotated[int, count("With --live: port to listen on; 0 takes a free one.", 0, 65_535)]


def lab(
    context: typer.Context,
    *,
    preset: Preset = "",
    app: AppOption = None,
    strategies: Strategies = "",
    database: Database = "sqlite",
    redis: Redis = "",
    kafka: Kafka = "",
    partitions: Partitions = 3,
    workers: Workers = 1,
    processes: Processes = 1,
    buyers: Buyers = None,
    stock: Stock = None,
    repeats: Repeats = None,
    pool: Pool = 4,
    fault: Faults = "",
    json_to: Json = "",
    live: Live = False,
    host: Host = HOST,
    port: Port = PORT,
) -> None:
    """Run every strategy on the same orders; see which keep their promise.

    Without options: the reference test (20 in stock, 30 buyers at once) on SQLite. docs/lab.md describes the rest.
    Exit code 0: every strategy did what it promises, and `unprotected` oversold. 1: one did not. 2: it could not run.
    """
    if _is_for_a_word(context) or _is_served(context, host, port, live=live):
        return
    from stockade.lab.runs.plan import Plan

    with one_line_errors():
        faults, processes = _faults(fault, redis, processes)
        plan = Plan(
            variants=_variants(preset, app),
            app=app_path(app),
            contenders=contenders_of(strategies) or None,
            database=database,
            redis=redis,
            kafka=kafka,
            partitions=partitions,
            workers=workers,
            processes=processes,
            buyers=buyers,
            stock=stock,
            repeats=repeats,
            pool_size=pool,
            faults=faults,
        )
        raise typer.Exit(OK if run_loop(_run(plan, console_of(json_to), json_to)) else FAILED)


def _is_for_a_word(context: typer.Context) -> bool:
    """Whether a word follows, which has options of its own.

    Raises:
        typer.BadParameter: an option stands before it, where it would be without effect.
    """
    if not context.invoked_subcommand:
        return False
    for name in _given(context):
        raise typer.BadParameter(
            f"{_option(context, name)} before {context.invoked_subcommand} is without effect: "
            f"write the options of `{context.invoked_subcommand}` after it"
        )
    return True


def _is_served(context: typer.Context, host: str, port: int, *, live: bool) -> bool:
    """Serve the live page if that is what was asked for; whether it was.

    Raises:
        typer.BadParameter: options of the page without it, or others with it, which would be without effect.
    """
    for name in _given(context):
        if name != "live" and (name in ("host", "port")) != live:
            option = _option(context, name)
            raise typer.BadParameter(
                f"{option} is without effect with --live: choose it in the page" if live else f"{option} needs --live"
            )
    if live:
        with one_line_errors():
            serve_live(host, port)
    return live


def _given(context: typer.Context) -> list[str]:
    """Names of the parameters that were written."""
    found = []
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name != "DEFAULT":
            found.append(name)
    return found


def _option(context: typer.Context, name: str) -> str:
    return next(each.opts[-1] for each in context.command.params if each.name == name)


async def _run(plan: "Plan", console: "Console", json_to: str) -> bool:
    from stockade.lab.errors import LabError
    from stockade.lab.reporting.document import document
    from stockade.lab.reporting.environment import describe
    from stockade.lab.reporting.table import LiveTable
    from stockade.lab.targets.target_database import open_target_database

    check_target(json_to)
    with LiveTable(console, plan.processes, plan.longest_name) as table:
        table.waiting_for(f"opening {plan.database.partition(':')[0]}")
        async with open_target_database(plan.database, plan.connections, plan.application) as target:
            environment = await describe(target)
            runs = await _execute(plan, target, table)
    if not runs:
        raise LabError("nothing could run: every strategy is left out")
    shown = ", ".join(f"{name} {value}" for name, value in environment.items())
    console.print(f"\n{shown}", highlight=False, markup=False, style="dim", soft_wrap=not console.is_terminal)
    if json_to:
        text = json.dumps(document(environment, runs), indent=2, ensure_ascii=False) + "\n"
        write(json_to, text)
    return all(run.judgement.kept for run in runs)


async def _execute(plan: "Plan", target: "TargetDatabase", table: "LiveTable") -> "list[RunSummary]":
    from stockade.lab.runs.runner import Runner
    from stockade.lab.targets.gateway_server import open_gateway
    from stockade.lab.targets.kafka_servers import open_kafka
    from stockade.lab.targets.redis_servers import open_redis, private_redis_missing

    if not plan.faults:
        async with (
            open_redis(plan.redis, plan.redis_wanted(target.name)) as redis,
            open_kafka(plan.kafka, plan.kafka_wanted) as kafka,
            open_gateway(wanted=plan.pays) as gateway,
        ):
            return await Runner(plan, target, redis, table, kafka, gateway=gateway).run()
    from stockade.devservers import Servers
    from stockade.lab.runs.fault_runner import FaultRunner

    with Servers() as private:
        async with open_gateway(wanted=plan.pays) as gateway:
            return await FaultRunner(plan, target, private, private_redis_missing(), table, gateway=gateway).run()


def _variants(preset: str, app: str | None) -> "Sequence[tuple[str, Variant]]":
    """What runs, by name.

    Raises:
        ValueError: an unknown preset.
    """
    from stockade.lab.presets import find, presets_of

    return find(preset or ("all" if app else "reference"), presets_of(application_of(app)))


def _faults(text: str, redis: str, processes: int) -> "tuple[Sequence[AimedFault], int]":
    """The faults, and how many processes the run has.

    Raises:
        LabError: options that contradict each other.
        ValueError: an unknown fault.
    """
    if not text:
        return (), processes
    from stockade.lab.aimed_faults import find
    from stockade.lab.errors import LabError
    from stockade.lab.runs.fault_runner import PROCESSES

    if processes not in (1, PROCESSES):
        raise LabError(f"--processes {processes}: a run under a fault has {PROCESSES}, one of which is hurt")
    if redis:
        raise LabError("--redis: a run under a fault hurts its servers, so it starts its own")
    return find(text), PROCESSES
