"""Outcomes as bytes: one message for each batch and service instance, its answers found by correlation id.

MessagePack, so that a replayed outcome is the same to the byte once it is JSON again. Neighbours:
`partition_processor` encodes, the strategy `kafka` decodes.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from stockade.core import Accepted, CommandResult, IdempotencyKeyReused, Rejected, StockadeError

MAX_BYTES = 900_000  # of one message: the brokers take a megabyte

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def encode_replies(answers: Sequence[tuple[int, CommandResult]]) -> list[bytes]:
    """The messages of (correlation id, answer) pairs, in order: one, or as many as their size needs."""
    return _messages([[correlation_id, *_row(answer)] for correlation_id, answer in answers])


def _messages(rows: list[list[Any]]) -> list[bytes]:
    """One message, or those of each half. A single answer is small: an order of 100 lines has some ten kilobytes."""
    message = _encode(rows)
    if len(message) <= MAX_BYTES or len(rows) == 1:
        return [message]
    middle = len(rows) // 2
    return _messages(rows[:middle]) + _messages(rows[middle:])


def _row(answer: CommandResult) -> list[Any]:
    if isinstance(answer, Accepted):
        return ["a", answer.data, answer.versions, answer.replayed]
    if isinstance(answer, Rejected):
        return ["r", answer.data, answer.versions, answer.replayed, answer.code]
    return ["e", IdempotencyKeyReused.code if isinstance(answer, IdempotencyKeyReused) else "", str(answer)]


def decode_replies(message: bytes) -> list[tuple[int, CommandResult]]:
    """The (correlation id, answer) pairs of a message."""
    return [(correlation_id, _answer(kind, rest)) for correlation_id, kind, *rest in _decode(message)]


def _answer(kind: str, rest: list[Any]) -> CommandResult:
    if kind == "a":
        return Accepted(*rest)
    if kind == "r":
        data, versions, replayed, code = rest
        return Rejected(code, data, versions, replayed)
    code, text = rest
    return IdempotencyKeyReused(text) if code == IdempotencyKeyReused.code else StockadeError(text)
