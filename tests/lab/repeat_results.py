"""Results of repeats, made by hand: three buyers, two in stock, all correct; tests then break one thing."""

from dataclasses import replace

from stockade.core import Accepted, Key, Rejected
from stockade.lab.model.burst import RepeatNames
from stockade.lab.model.repeat_result import (
    ACCEPTED,
    FAILED,
    REJECTED,
    LedgerEntry,
    RepeatResult,
    Response,
    RowAmounts,
    Snapshot,
)
from stockade.lab.presets.reference import workload

NAMES = RepeatNames("test", 0, buyers=3, stock=2, now_ms=1)
WORKLOAD = workload(NAMES)
KEY = WORKLOAD.counted_rows[0]
FIRST, SECOND, THIRD = (order.request_id for order in WORKLOAD.orders)
CREATED = WORKLOAD.setup[0].request_id


def response(request_id, status=ACCEPTED, code="", content_hash="", unexpected_error=""):
    """A response that took a millisecond."""
    return Response(request_id, status, code, content_hash or request_id, unexpected_error, 0, 1_000_000)


def entry(request_id, version, held=1, held_after=None, key=KEY, delta=0, amount_after=2):
    """A ledger entry of the stock row."""
    after = version - 1 if held_after is None else held_after
    return LedgerEntry(key, request_id, version, delta, held, amount_after, after)


def right():
    """Two accepted, one refused, nothing left."""
    snapshot = Snapshot(
        rows={KEY: RowAmounts(amount=2, held=2, version=3)},
        ledger=(entry(CREATED, 1, held=0, delta=2), entry(FIRST, 2), entry(SECOND, 3)),
        orders=frozenset({FIRST, SECOND}),
        requests={FIRST: Accepted({}), SECOND: Accepted({}), THIRD: Rejected("OUT_OF_STOCK")},
    )
    responses = (response(FIRST), response(SECOND), response(THIRD, REJECTED, "OUT_OF_STOCK"))
    return RepeatResult(WORKLOAD, "OUT_OF_STOCK", responses, snapshot)


def with_responses(*responses):
    """The right repeat, but with these responses."""
    return replace(right(), responses=responses)


def with_snapshot(**changes):
    """The right repeat, but the database contains this."""
    return replace(right(), snapshot=replace(right().snapshot, **changes))


__all__ = [
    "CREATED",
    "FAILED",
    "FIRST",
    "KEY",
    "REJECTED",
    "SECOND",
    "THIRD",
    "Key",
    "RowAmounts",
    "entry",
    "response",
    "right",
    "with_responses",
    "with_snapshot",
]
