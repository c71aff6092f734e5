"""Finds a member that stands twice in a JSON body. Our decoder takes the last one; a proxy may have read the first.

RFC 8259 leaves the meaning open (section 4), so such a body is refused. Neighbour: `request_parsing`.
"""

import json
from functools import cache
from typing import Any

import msgspec
from msgspec import UNSET


def repeated_member(raw: bytes, body: msgspec.Struct) -> str | None:
    """The name of a member that stands twice in one object of the body, at any depth; None when none does.

    Args:
        raw: the body as it came; it has been decoded.
        body: what it was decoded to. A member that may be absent is UNSET then, or it could not be counted.
    """
    # Every member has one colon. Only a repeated member or a text with a colon makes more of them.
    if raw.count(b":") == _members(body):
        return None
    found: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            found.extend(name for n, name in enumerate(names) if name in names[:n])

    json.loads(raw, object_pairs_hook=collect)
    return found[0] if found else None


def _members(value: msgspec.Struct) -> int:
    """How many members a value was decoded from."""
    names, nested, optional = _fields(type(value))
    count = len(names) - sum(getattr(value, name) is UNSET for name in optional)
    for name in nested:
        inner = getattr(value, name)
        if inner:
            count += len(inner) * _members(inner[0])
    return count


@cache
def _fields(type_: type[msgspec.Struct]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The names of all members, of those that are lists of objects, and of those that may be absent."""
    fields = msgspec.structs.fields(type_)
    optional = [field.encode_name for field in fields if not field.required]
    absent = {field.encode_name for field in fields if field.default is UNSET}
    assert absent.issuperset(optional), f"{type_.__name__}: a member that may be absent must be UNSET then"
    lists = [field.encode_name for field in fields if isinstance(_plain(field.type), msgspec.inspect.ListType)]
    return tuple(field.encode_name for field in fields), tuple(lists), tuple(optional)


def _plain(type_: Any) -> Any:
    return msgspec.inspect.type_info(type_)
