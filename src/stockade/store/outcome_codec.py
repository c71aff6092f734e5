"""The encoding of an outcome in the table `requests`, and of an event's body in the outbox."""

import msgspec

from stockade.core import Accepted, Outcome, Rejected

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def encode_outcome(outcome: Outcome) -> bytes:
    """One line of JSON, readable in any database client."""
    if isinstance(outcome, Accepted):
        return _encode({"data": outcome.data, "versions": outcome.versions})
    return _encode({"code": outcome.code, "data": outcome.data, "versions": outcome.versions})


def decode_outcome(blob: bytes) -> Outcome:
    """The recorded outcome, marked as replayed."""
    stored = _decode(blob)
    if "code" in stored:
        return Rejected(stored["code"], stored["data"], stored["versions"], replayed=True)
    return Accepted(stored["data"], stored["versions"], replayed=True)


def encode_body(body: object) -> bytes:
    """The body of an outbox event as JSON."""
    return _encode(body)
