"""Log decided: every command of a drained log has an outcome.

A message whose position has moved on without a decision is lost: nobody reads it again. Judged where the history says
that every position is at its end, as the simulator's do; a recording may end before. Neighbour: `log_order.py`.
"""

from collections.abc import Iterator
from typing import Final

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.violation import Violation

RULE: Final = "log-decided"
LOG_DRAINED: Final = "log_drained"  # in `FinalState.extra`: whether the position of each partition is at its end


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Report the commands without an outcome."""
    if not history.final.extra.get(LOG_DRAINED):
        return
    for record in history.final.log:
        if record.request_id not in history.recorded:
            text = f"{record.request_id} stands at {record.offset} of partition {record.partition}, undecided"
            yield Violation(RULE, text, request_id=record.request_id)
