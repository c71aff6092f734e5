"""The encoding of an outcome in the table `requests`, and of an event's body in the outbox."""

import msgspec

from stockade.core import Accepted, Outcome, Rejected

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def encode_outcome(outcome: Outcome, *, wrote: bool = False) -> bytes:
    """One line of JSON, readable in any database client.

    Args:
        outcome: to record.
        wrote: whether the command inserted records or left events. Of one that was accepted and changed no guarded row
            nothing else would say so, and its request must be kept: `service.recorded` looks for this.
    """
    if isinstance(outcome, Accepted):
        if wrote and not outcome.versions:
            return _encode({"data": outcome.data, "versions": outcome.versions, "wrote": True})
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
