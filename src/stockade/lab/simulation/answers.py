"""What became of one request, in the words of a history."""

import asyncio
from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from stockade.core import Accepted, Outcome, StockadeError
from stockade.lab.history.operation import FAILED, OK, REFUSED, UNKNOWN


class Answer(NamedTuple):
    """The end of one operation; fields as of `Operation`."""

    type: str
    code: str = ""
    replayed: bool = False
    answer: str = ""
    versions: Mapping[str, int] = {}
    unexpected: str = ""


def of_outcome(outcome: Outcome) -> Answer:
    """The answer of a decision."""
    code = "" if isinstance(outcome, Accepted) else outcome.code
    hashed = blake2b(msgspec.json.encode(outcome.data, order="sorted"), digest_size=8).hexdigest()
    return Answer(REFUSED if code else OK, code, outcome.replayed, hashed, outcome.versions)


def of_error(error: BaseException) -> Answer:
    """The answer of an exception: failed where it says that nothing happened, else unknown."""
    if isinstance(error, asyncio.CancelledError):
        return Answer(UNKNOWN, "CANCELLED")
    if isinstance(error, StockadeError):
        return Answer(FAILED if error.outcome == "none" else UNKNOWN, error.code)
    return Answer(UNKNOWN, type(error).__name__, unexpected=f"{type(error).__name__}: {error}")
