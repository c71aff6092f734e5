"""The application's own audit after a whole run: totals, payments, request rows and events included.

The checks see one repeat at a time. The audit reads the whole database, as `stockade audit` does. Its violations are
filtered by the ids of the run, because runs of the negative controls have left theirs in the same database.
"""

from collections.abc import Sequence
from functools import partial

from stockade.lab.model.burst import Burst
from stockade.lab.model.repeat_result import Violation
from stockade.lab.targets.target_database import TargetDatabase

AUDIT_WAIT_S = 60.0
LIMIT = 100_000  # violations of each rule: those of negative controls must leave room for those of this run


async def audit_run(target: TargetDatabase, workloads: Sequence[Burst]) -> list[Violation]:
    """The violations that concern rows or requests of these workloads."""
    ids = {key.id for each in workloads for key in (*each.counted_rows, *each.other_rows)}
    ids |= {command.request_id for each in workloads for command in (*each.setup, *each.orders)}
    found = await target.admin_database.read(partial(target.application.audit, limit=LIMIT), timeout_s=AUDIT_WAIT_S)
    return [Violation(each.rule, each.detail) for each in found if not ids.isdisjoint(_ids(each.subject))]


def _ids(subject: str) -> list[str]:
    """The ids in a subject: `order:4f… stock:lab-1 version 3` -> 4f…, lab-1."""
    return [word.partition(":")[2] for word in subject.split() if ":" in word]
