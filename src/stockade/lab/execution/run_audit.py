"""The shop's own audit over everything that one run did: totals, payments, request rows and events included.

The checks look at one repeat at a time, at its hot rows and its answers. This looks at the database as `stockade audit`
does, and keeps what concerns the run: other runs, broken on purpose, have left their damage beside it.
"""

from collections.abc import Sequence
from functools import partial

from stockade.lab.execution.repeat_result import Violation
from stockade.lab.preset import Scene
from stockade.lab.targets.target_database import Ground
from stockade.shop.audit import audit

AUDIT_WAIT_S = 60.0
LIMIT = 100_000  # of each rule: what the controls broke before must not crowd out what this run broke


async def audit_run(ground: Ground, scenes: Sequence[Scene]) -> list[Violation]:
    """What the audit finds at the rows and requests of these scenes."""
    ours = {key.id for scene in scenes for key in (*scene.subjects, *scene.others)}
    ours |= {command.request_id for scene in scenes for command in (*scene.setup, *scene.orders)}
    found = await ground.control.read(partial(audit, limit=LIMIT), timeout_s=AUDIT_WAIT_S)
    return [Violation(each.rule, each.detail) for each in found if not ours.isdisjoint(_ids(each.subject))]


def _ids(subject: str) -> list[str]:
    """`order:4f… stock:lab-1 version 3` -> the ids in it."""
    return [word.partition(":")[2] for word in subject.split() if ":" in word]
