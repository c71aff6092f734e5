"""Checks that the data of outcomes and the bodies of events are JSON.

The encoder would turn a time into a text, a set into a list and NaN into null, so a replay would return something else
than the first answer. Neighbours: `decide` collects the values, `outcome_codec` encodes them.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from math import isfinite
from types import NoneType
from typing import Any, TypeVar

from stockade.store.schema.known_tables import Unfit

T = TypeVar("T")
MAX_BYTES = 65_535  # what a BLOB of MariaDB and MySQL holds
_KEYS = frozenset({str})
_LISTS = frozenset({list, tuple})
_PARTS = frozenset({dict}) | _LISTS
_PLAIN = frozenset({str, int, bool, float, NoneType}) | _PARTS


def encoded(encode: Callable[[T], bytes], value: T) -> bytes:
    """The value as JSON.

    Args:
        encode: of `outcome_codec`.
        value: to encode.

    Raises:
        Unfit: it has a part that no encoder takes, or is too large for a database.
    """
    try:
        blob = encode(value)
    # a UnicodeEncodeError, for half a surrogate pair, is a ValueError; lists in lists in lists are a RecursionError
    except (TypeError, ValueError, RecursionError) as error:
        raise Unfit(f"emits what is not JSON: {error}") from error
    if len(blob) > MAX_BYTES:
        raise Unfit(f"emits what has {len(blob):,} bytes as JSON, of which {MAX_BYTES:,} fit")
    return blob


def check_json(values: Sequence[Any]) -> None:
    """Refuse mappings that would be decoded to something else than they are.

    Args:
        values: all have been encoded, so their depth is bounded.

    Raises:
        Unfit: the message names the first such part.
    """
    if not _are_plain(values):
        for value in values:
            _check(value, "")


def _are_plain(values: Sequence[Any]) -> bool:
    """Whether they consist of exactly the types of JSON; subclasses of these are right too, but need the slow check.

    All values of a batch are checked together, level by level: one value at a time takes three times as long.
    """
    if not {dict}.issuperset(map(type, values)):
        return False
    mappings = values
    lists: list[Any] = []
    while mappings or lists:
        if not _KEYS.issuperset(map(type, chain.from_iterable(mappings))):
            return False
        inner = [*chain.from_iterable(map(dict.values, mappings)), *chain.from_iterable(lists)]
        kinds = set(map(type, inner))
        if not kinds <= _PLAIN or (float in kinds and not all(isfinite(each) for each in inner if type(each) is float)):
            return False
        if kinds.isdisjoint(_PARTS):
            return True
        # most levels have one of the two: looking through them is the larger part of the work
        mappings = [each for each in inner if type(each) is dict] if dict in kinds else []
        lists = [each for each in inner if type(each) in _LISTS] if not kinds.isdisjoint(_LISTS) else []
    return True


def _check(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for name, each in value.items():
            if not isinstance(name, str):
                raise Unfit(f"emits what is not JSON: the key {name!r:.100} in {where or 'it'} is no text")
            _check(each, f"{where}[{name!r:.100}]")
    elif isinstance(value, list | tuple):
        for n, each in enumerate(value):
            _check(each, f"{where}[{n}]")
    elif not isinstance(value, str | int | float | None):
        raise Unfit(f"emits what is not JSON: {where} is a {type(value).__name__}")
    elif isinstance(value, float) and not isfinite(value):
        raise Unfit(f"emits what is not JSON: {where} is {value}")
