"""The steps of a run that are the same with and without faults: make the workloads, create their rows, check results.

Neighbours: `runner.py` and `fault_runner.py` call them; `checks/` and `run_audit.py` judge.
"""

import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from stockade.core import Command, Guard, Rejected
from stockade.lab.checks import violations
from stockade.lab.errors import LabError, described
from stockade.lab.model.burst import Burst, RepeatNames
from stockade.lab.model.preset import Variant
from stockade.lab.model.repeat_result import RepeatResult, Response
from stockade.lab.reporting.checked_repeat import CheckedRepeat
from stockade.lab.runs.run_audit import audit_run
from stockade.lab.runs.snapshot import read_snapshot
from stockade.lab.targets.target_database import TargetDatabase
from stockade.store import SqlStore

SETUP_BATCH = 200
SETUP_WAIT_S = 60.0


def make_workloads(variant: Variant, buyers: int, stock: int, count: int) -> list[Burst]:
    """The workloads of so many repeats, each with its own names.

    Raises:
        LabError: numbers that the variant does not support.
    """
    run = secrets.token_hex(4)
    now_ms = time.time_ns() // 1_000_000
    try:
        return [variant.workload(RepeatNames(run, repeat, buyers, stock, now_ms)) for repeat in range(count)]
    except ValueError as error:
        raise LabError(str(error)) from error


def fresh_names(buyers: int, stock: int) -> RepeatNames:
    """Names that no other repeat uses, for one that is not of a preset."""
    return RepeatNames(secrets.token_hex(4), 0, buyers, stock, time.time_ns() // 1_000_000)


async def create_rows(target: TargetDatabase, workloads: Sequence[Burst]) -> None:
    """Create the rows of all repeats in a few transactions, before anything is timed.

    Raises:
        LabError: they cannot be created.
    """
    store = SqlStore(target.admin_database, target.application.resources)
    commands: list[Command] = [command for workload in workloads for command in workload.setup]
    for at in range(0, len(commands), SETUP_BATCH):
        deadline = time.monotonic() + SETUP_WAIT_S
        sent = commands[at : at + SETUP_BATCH]
        for command, outcome in zip(sent, await store.transact(sent, Guard.ROW, deadline=deadline), strict=True):
            if isinstance(outcome, Exception):
                raise LabError(f"the rows cannot be made: {command.name} ended with {described(outcome)}") from outcome
            if isinstance(outcome, Rejected):
                raise LabError(f"the rows cannot be made: {command.name} was refused ({outcome.code})")


async def check_repeat(
    target: TargetDatabase, variant: Variant, workload: Burst, responses: Sequence[Response], *, timed: bool
) -> CheckedRepeat:
    """Compare the responses of a repeat with what the database contains."""
    snapshot = await target.admin_database.read(
        partial(read_snapshot, workload=workload, application=target.application)
    )
    result = RepeatResult(workload, variant.allowed_rejection, tuple(responses), snapshot)
    return CheckedRepeat.of(result, violations(result), timed=timed)


async def check_run(target: TargetDatabase, workloads: Sequence[Burst], checked: list[CheckedRepeat]) -> None:
    """Audit a run without violations; the last repeat gets what the audit finds."""
    if target.private and not any(repeat.violations for repeat in checked):
        found = await audit_run(target, workloads)
        checked[-1] = replace(checked[-1], violations=tuple(found))


def or_default(chosen: int | None, default: int) -> int:
    """The user's number, or the default."""
    return default if chosen is None else chosen
