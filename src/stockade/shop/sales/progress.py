"""How far the sums are: the position in the outbox, and from which time on orders are counted.

The position moves in the transaction that changes the sums. A process that changes them has the row locked, so one
process at a time counts an event, and a process that is killed has counted nothing or moved the position too.
"""

from typing import NamedTuple

from sqlalchemy import Connection, insert, select, update

from stockade.shop.model.tables import sales_progress
from stockade.shop.sales.hours import FOREVER_MS
from stockade.store.settled_events import Settled

NAME = "popular"

_HERE = sales_progress.c.name == NAME
PROGRESS = select(sales_progress.c.position, sales_progress.c.counted_from_ms, sales_progress.c.as_of_ms).where(_HERE)
_CLAIM = PROGRESS.with_for_update(skip_locked=True)


class Progress(NamedTuple):
    """The row.

    Attributes:
        position: the last event that the sums hold.
        counted_from_ms: orders placed before that time, in milliseconds since 1970, are not in the sums.
        as_of_ms: what was committed before that time, in milliseconds since 1970, is in the sums.
    """

    position: int
    counted_from_ms: int
    as_of_ms: int


def progress_of(connection: Connection) -> Progress | None:
    """The progress as it is now; None before the first round of any process."""
    row = connection.execute(PROGRESS).one_or_none()
    return None if row is None else Progress(*row)


def position_of(connection: Connection) -> int | None:
    """The last event that the sums hold; None before the first round of any process."""
    progress = progress_of(connection)
    return None if progress is None else progress.position


def claim(connection: Connection) -> Progress | None:
    """The progress, locked until the end of the transaction; None if another process has it."""
    row = connection.execute(_CLAIM).one_or_none()
    return None if row is None else Progress(*row)


def begin(connection: Connection, settled: Settled) -> None:
    """Begin at a settled position with no orders counted; a unique key refuses it where another process has begun."""
    row = {"name": NAME, "position": settled.id, "counted_from_ms": FOREVER_MS, "as_of_ms": settled.at_ms}
    connection.execute(insert(sales_progress), row)


def move(connection: Connection, **values: int) -> None:
    """Set members of the row, which this transaction has claimed."""
    connection.execute(update(sales_progress).where(_HERE).values(values))
