"""JSON pointers (RFC 6901) with one addition: `*` stands for every element of a list.

`/items/*/amount` is the list of all amounts. Neighbours: `steps/reads.py` and `steps/collect.py` look values up.
"""

import json
from collections.abc import Mapping
from typing import Any

from stockade.race.errors import RaceError

EVERY = "*"
_SHOWN = 120  # characters of a document in a message


class Missing(RaceError):
    """The document has nothing at the place of the pointer."""


def check(pointer: str) -> None:
    """Refuse what is no pointer.

    Raises:
        RaceError: it does not begin with `/`.
    """
    if pointer and not pointer.startswith("/"):
        raise RaceError(f"{pointer!r} is no JSON pointer: write /{pointer.replace('.', '/')}")


def look_up(document: Any, pointer: str) -> Any:
    """The value at a place of a document; the whole document for an empty pointer.

    Args:
        document: of JSON.
        pointer: `/member/0/other`; `~1` is a slash and `~0` a tilde in a name.

    Raises:
        Missing: nothing is there; the message says where it ended.
    """
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]
    return _walk(document, tokens, pointer)


def _walk(value: Any, tokens: list[str], pointer: str) -> Any:
    for at, token in enumerate(tokens):
        if token == EVERY and isinstance(value, list):
            rest = tokens[at + 1 :]
            found = [_walk(each, rest, pointer) for each in value]
            return [inner for each in found for inner in each] if EVERY in rest else found
        if isinstance(value, Mapping) and token in value:
            value = value[token]
        elif isinstance(value, list) and token.isdecimal() and int(token) < len(value):
            value = value[int(token)]
        else:
            raise Missing(f"pointer {pointer}: there is no {token!r} in {_short(value)}")
    return value


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
