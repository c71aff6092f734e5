"""Takes a user out of JSON that the store has recorded: outcomes of requests, bodies of events.

The form of the bytes stays: `queries.recorded` finds refusals by how they begin. Neighbour: `erase`.
"""

from typing import Any

import msgspec

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_USER, _REASON = "user_id", "reason"


def without_user(raw: bytes, user_id: str, alias: str) -> bytes | None:
    """The JSON with the alias in place of the user id, and without the reason that the person gave.

    Args:
        raw: as recorded.
        user_id: of the person.
        alias: takes its place, as `user_id` and in `points:…`, the name of the account's row.

    Returns:
        The new JSON, or None where it does not name the user.
    """
    before = bytes(raw)
    if user_id.encode() not in before and msgspec.json.encode(user_id)[1:-1] not in before:  # quick, for most
        return None
    found = _decode(before)
    after = _replaced(found, user_id, alias)
    return None if after == found else _encode(after)


def _replaced(value: Any, user_id: str, alias: str) -> Any:
    if isinstance(value, list):
        return [_replaced(each, user_id, alias) for each in value]
    if not isinstance(value, dict):
        return value
    names_user = value.get(_USER) == user_id
    row = f"points:{user_id}"
    replaced: dict[str, Any] = {}
    for name, each in value.items():
        if name == _USER and names_user:
            replaced[name] = alias
        elif name == _REASON and names_user:
            replaced[name] = ""
        elif name == row:
            replaced[f"points:{alias}"] = each
        else:
            replaced[name] = _replaced(each, user_id, alias)
    return replaced
