"""Outcomes on their way back: one message per batch and service instance, told apart by ticket numbers.

MessagePack, so that a replayed outcome is the same to the byte once it is JSON again. Neighbours: the worker encodes,
`kafka` decodes.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from stockade.core import Accepted, Rejected, RequestReused, StockadeError

Answer = Accepted | Rejected | Exception
MAX_ANSWERS = 500  # in one message, so that it stays below the brokers' limit of a megabyte

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def encode_replies(answers: Sequence[tuple[int, Answer]]) -> list[bytes]:
    """Messages of (ticket, answer) pairs."""
    rows = [[ticket, *_row(answer)] for ticket, answer in answers]
    return [_encode(rows[at : at + MAX_ANSWERS]) for at in range(0, len(rows), MAX_ANSWERS)]


def _row(answer: Answer) -> list[Any]:
    if isinstance(answer, Accepted):
        return ["a", answer.data, answer.versions, answer.replayed]
    if isinstance(answer, Rejected):
        return ["r", answer.data, answer.versions, answer.replayed, answer.code]
    return ["e", RequestReused.code if isinstance(answer, RequestReused) else "", str(answer)]


def decode_replies(message: bytes) -> list[tuple[int, Answer]]:
    """The (ticket, answer) pairs of a message."""
    return [(ticket, _answer(kind, rest)) for ticket, kind, *rest in _decode(message)]


def _answer(kind: str, rest: list[Any]) -> Answer:
    if kind == "a":
        return Accepted(*rest)
    if kind == "r":
        data, versions, replayed, code = rest
        return Rejected(code, data, versions, replayed)
    code, text = rest
    return RequestReused(text) if code == RequestReused.code else StockadeError(text)
