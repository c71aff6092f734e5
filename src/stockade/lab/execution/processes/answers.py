"""What became of one request, as the service process tells it: small values, so that the load costs little.

Neighbours: `service_main.py` makes answers, `../load.py` makes responses of them; of recordings,
`recording/recorder.py` keeps them and `recording/final_reads.py` hashes what is recorded.
"""

import json
from asyncio import CancelledError
from collections.abc import Awaitable, Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

from stockade.core import Accepted, JsonValue, Outcome, Stats, StockadeError
from stockade.lab.errors import raised_at
from stockade.lab.history.operation import FAILED, OK, REFUSED, UNKNOWN

PROCESS_ENDED: Final = "PROCESS_ENDED"  # it took the request and ended without an answer
NO_ANSWER: Final = "NO_ANSWER"  # long after the deadline that it was given
CANCELLED: Final = "CANCELLED"  # the client gave up
_encode: Final = json.JSONEncoder(sort_keys=True).encode  # `json.dumps` would make an encoder for each answer


class Answer(NamedTuple):
    """The end of one operation; fields as of `Operation`."""

    type: str
    code: str = ""
    replayed: bool = False
    answer: str = ""
    versions: Mapping[str, int] = {}
    unexpected: str = ""
    in_doubt: bool = False


async def answered(outcome: Awaitable[Outcome], stats: Stats) -> Answer:
    """The answer of a decision; in doubt if its process lost the reply to a commit meanwhile.

    Args:
        outcome: of the command.
        stats: of the store: which command it was whose reply was lost, they do not say.
    """
    lost_before = stats.unknown
    answer = of_outcome(await outcome)
    return answer._replace(in_doubt=stats.unknown != lost_before)


def of_outcome(outcome: Outcome) -> Answer:
    """The answer of a decision."""
    hashed = hash_of(outcome.data)
    if isinstance(outcome, Accepted):
        return Answer(OK, "", outcome.replayed, hashed, outcome.versions)
    return Answer(REFUSED, outcome.code, outcome.replayed, hashed, outcome.versions)


def of_error(error: BaseException) -> Answer:
    """The answer of an exception: failed where it says that nothing happened, else unknown."""
    if isinstance(error, CancelledError):
        return Answer(UNKNOWN, CANCELLED)
    if isinstance(error, StockadeError):
        return Answer(FAILED if error.outcome == "none" else UNKNOWN, error.code)
    where = raised_at(error)
    text = f"{type(error).__name__}: {error}{f' ({where})' if where else ''}"
    return Answer(UNKNOWN, type(error).__name__, unexpected="; ".join([text, *getattr(error, "__notes__", ())]))


def hash_of(data: Mapping[str, JsonValue]) -> str:
    """A hash of an answer's data: equal requests must get equal ones."""
    return blake2b(_encode(data).encode(), digest_size=8).hexdigest()
