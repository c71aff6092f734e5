"""`stockade lab record`: records histories of a workload, judges them, and keeps them as files."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stockade.cli.common import AppOption, app_path, application_of
from stockade.cli.exit_codes import FAILED, OK
from stockade.cli.lab.common import (
    LEAST_SECONDS,
    LONGEST_SEED,
    MOST_SECONDS,
    check_target,
    one_line_errors,
    run_loop,
)
from stockade.cli.lab.parts import contenders_of
from stockade.cli.numbers import count, decimal

if TYPE_CHECKING:
    from stockade.lab.recording.plan import RecordingPlan
    from stockade.lab.ring.summary import RecordingSummary
    from stockade.lab.workloads.workload import Workload

WorkloadOption = Annotated[
    str, typer.Option("--workload", metavar="NAME", help="What is sent; docs/lab.md lists them. MODULE:NAME: your own.")
]
Strategies = Annotated[
    str,
    typer.Option(metavar="NAME,…", help="Names separated by commas, NAME:fence and NAME:bare for forms of locks."),
]
Database = Annotated[
    str, typer.Option(metavar="URL", help="sqlite, postgres or mariadb (a private server is started), or a URL.")
]
Redis = Annotated[
    str, typer.Option(metavar="URL,…", help="Redis URLs separated by commas; empty: private servers, when needed.")
]
Kafka = Annotated[
    str, typer.Option(metavar="HOST:PORT,…", help="Kafka brokers; empty: a private one, for the strategy kafka.")
]
FaultOption = Annotated[
    str, typer.Option("--fault", metavar="NAME+…", help="Faults that happen together; docs/lab.md lists them.")
]
Processes = Annotated[int, count("Processes that run the service.", 1, 64)]
Clients = Annotated[int | None, count("Clients, one request each at a time; default: the workload's.", 1, 2_000)]
Rate = Annotated[
    float, decimal("Offer N requests per second, however long answers take; 0: closed loop.", 0.0, 100_000.0)
]
Seconds = Annotated[float, decimal("Seconds of load.", LEAST_SECONDS, MOST_SECONDS)]
Seed = Annotated[int, count("Decides every choice: equal seeds send equal requests.", 0, LONGEST_SEED)]
Pool = Annotated[int, count("Database connections of each process.", 1, 1_000)]
Wait = Annotated[float, decimal("Deadline of one command in seconds; a fault may need a longer one.", 0.1, 60.0)]
Lease = Annotated[float, decimal("Lease of a lock in seconds.", 0.1, 60.0)]
Partitions = Annotated[int, count("Partitions of the Kafka topic.", 1, 1_000)]
Workers = Annotated[int, count("Processes that decide what is in the Kafka topic.", 1, 64)]
HistoryOption = Annotated[
    str,
    typer.Option(
        "--history", metavar="FILE", help="Keep the history in this file; FOLDER/ gets a file for each strategy."
    ),
]


def record(
    *,
    workload: WorkloadOption = "order-stream",
    app: AppOption = None,
    strategies: Strategies = "pessimistic",
    database: Database = "sqlite",
    redis: Redis = "",
    kafka: Kafka = "",
    fault: FaultOption = "",
    processes: Processes = 2,
    clients: Clients = None,
    rate: Rate = 0.0,
    seconds: Seconds = 5.0,
    seed: Seed = 0,
    pool: Pool = 4,
    wait: Wait = 2.0,
    lease: Lease = 1.0,
    partitions: Partitions = 3,
    workers: Workers = 2,
    history: HistoryOption = "",
) -> None:
    """Record what clients see while a workload runs, and judge it.

    Prints one line for each strategy: its operations by outcome, its rate, and
    the violations that the checkers found.

    Exit code 0: every strategy did what it claims, and every control broke a
    rule about data where it must: `unprotected` always. 1: one did not, or a
    fault did not act, so that nothing follows. 2: it could not be recorded.
    """
    from stockade.lab.errors import LabError
    from stockade.lab.faults import find_faults
    from stockade.lab.recording.plan import RecordingPlan

    with one_line_errors():
        contenders = contenders_of(strategies)
        if not contenders:
            raise LabError("--strategies names none, e.g. pessimistic,unprotected")
        _check_history(history, len(contenders))
        plan = RecordingPlan(_workload(workload, app), contenders[0], database, find_faults(fault), seed, seconds)
        plan = replace(plan, processes=processes, clients=clients or 0, rate=rate, pool_size=pool, app=app_path(app))
        plan = replace(plan, wait_s=wait, lease_s=lease, partitions=partitions, workers=workers)
        plan = replace(plan, redis=redis, kafka=kafka)
        kept = [_record(replace(plan, contender=each), history) for each in contenders]
    raise typer.Exit(OK if all(kept) else FAILED)


def _workload(text: str, app: str | None) -> "Workload":
    """The workload that the option names; one of its own, or a preset, of the application.

    Raises:
        LabError: there is none of this name.
    """
    from stockade.lab.workloads.registry import find_workload

    return find_workload(text, application_of(app))  # an unknown application is refused here, not by each process


def _record(plan: "RecordingPlan", target: str) -> bool:
    from stockade.lab.checkers.not_judged import not_judged_lines
    from stockade.lab.history.history_file import write_history
    from stockade.lab.recording.engine import record as carry_out
    from stockade.lab.ring.summary import summarise

    found = run_loop(carry_out(plan))
    if target:
        file = Path(target)
        if file.is_dir():
            name = "-".join((plan.workload.name, plan.contender.name, found.database, *found.faults, str(plan.seed)))
            file = file / f"{name.replace(':', '-')}.jsonl"
        write_history(found, file)
    summary = summarise(plan, found)
    for line in [*_lines(plan, summary, "+".join(found.faults)), *not_judged_lines(found)]:
        typer.echo(line)
    return summary.kept


def _lines(plan: "RecordingPlan", summary: "RecordingSummary", faults: str) -> list[str]:
    types = ", ".join(f"{n} {type_}" for type_, n in summary.types.items())
    under = f" under {faults}" if faults else ""
    what = f"{plan.workload.name} / {plan.contender.name} / {plan.database.partition(':')[0]}{under}"
    why = f", {summary.reason}" if summary.reason else ""
    counts = f"{summary.operations} operations ({types}), {summary.rate:.0f}/s"
    lines = [f"{what}: {counts}; {summary.verdict}{why}"]
    if offered := summary.offered:
        lost = f"{offered['not_sent']:,} not sent, as every client was busy; {offered['late']:,} late"
        lines.append(f"  {plan.rate:g} requests a second were offered, {offered['offered']:,} in all: {lost}")
    if summary.first is not None:
        rules = ", ".join(f"{rule} {n}" for rule, n in summary.violations.items())
        lines.append(f"  violations: {rules}; the first: {summary.first.detail}")
    return lines


def _check_history(target: str, recordings: int) -> None:
    """Find out before the recording whether its history can be written after it; a folder is made.

    Raises:
        LabError: it cannot.
    """
    from stockade.lab.errors import LabError

    if not target:
        return
    if recordings == 1 and not target.endswith("/") and not Path(target).is_dir():
        check_target(target, "--history")
        return
    try:
        Path(target).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"--history {target}: must be a folder, which cannot be made ({error.strerror})") from None
    check_target(str(Path(target) / "tried.part"), "--history")
