"""Repeats made by hand: three buyers, two in stock, all told and booked right; tests then break one thing."""

from dataclasses import replace

from stockade.core import Accepted, Key, Rejected
from stockade.lab.execution.load import ACCEPTED, FAILED, REJECTED, Shot
from stockade.lab.execution.repeat_result import Amounts, Entry, Evidence, Trial
from stockade.lab.presets.reference import scene
from stockade.lab.repeat_names import Stage

STAGE = Stage("test", 0, buyers=3, stock=2, now_ms=1)
SCENE = scene(STAGE)
KEY = SCENE.subjects[0]
FIRST, SECOND, THIRD = (order.request_id for order in SCENE.orders)
CREATED = SCENE.setup[0].request_id


def shot(request_id, answer=ACCEPTED, code="", content="", unexpected=""):
    """An answer that took a millisecond."""
    return Shot(request_id, answer, code, content or request_id, unexpected, 0, 1_000_000)


def entry(request_id, version, held=1, held_after=None, key=KEY, delta=0, amount_after=2):
    """A ledger entry of the stock row."""
    after = version - 1 if held_after is None else held_after
    return Entry(key, request_id, version, delta, held, amount_after, after)


def right():
    """Two accepted, one refused, nothing left."""
    evidence = Evidence(
        rows={KEY: Amounts(amount=2, held=2, version=3)},
        ledger=(entry(CREATED, 1, held=0, delta=2), entry(FIRST, 2), entry(SECOND, 3)),
        orders=frozenset({FIRST, SECOND}),
        requests={FIRST: Accepted({}), SECOND: Accepted({}), THIRD: Rejected("OUT_OF_STOCK")},
    )
    shots = (shot(FIRST), shot(SECOND), shot(THIRD, REJECTED, "OUT_OF_STOCK"))
    return Trial(SCENE, "OUT_OF_STOCK", shots, evidence)


def with_shots(*shots):
    """The right repeat, but the buyers were told this."""
    return replace(right(), shots=shots)


def with_evidence(**changes):
    """The right repeat, but the database holds this."""
    return replace(right(), evidence=replace(right().evidence, **changes))


__all__ = [
    "CREATED",
    "FAILED",
    "FIRST",
    "KEY",
    "REJECTED",
    "SECOND",
    "THIRD",
    "Amounts",
    "Key",
    "entry",
    "right",
    "shot",
    "with_evidence",
    "with_shots",
]
