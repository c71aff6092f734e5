"""Reads a scenario from TOML: the tree of `model/scenario.py`, and nothing else in it.

Neighbour: `load.py` calls it. msgspec compares the file with the tree.
"""

import re
import tomllib
from typing import Any

import msgspec

from stockade.race.errors import RaceError
from stockade.race.model.scenario import Scenario

_SHOWN = 100  # characters of a line in an error
_IN_PYTHON = ("prepare", "request_of", "checks")
_IN_TOML = {  # msgspec's words -> those of TOML
    "`object`": "a table",
    "`array`": "a list",
    "`str`": "a text",
    "`int`": "a whole number",
    "`float`": "a number",
    "`bool`": "true or false",
}


def read_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Args:
        text: of the file.

    Raises:
        RaceError: it is no TOML.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RaceError(f"is no TOML: {error}{_line_of(str(error), text)}") from None
    for name in _IN_PYTHON:
        if name in tree:
            raise RaceError(f"{name}: is a function, which only a scenario in Python has")
    return tree


def _line_of(reason: str, text: str) -> str:
    """The line that tomllib means, and what is usually wrong with a value."""
    found = re.search(r"at line (\d+)", reason)
    if not found:  # the end of the file
        return ""
    line = text.splitlines()[int(found[1]) - 1].strip()[:_SHOWN]
    return f": {line}{' (texts need quotes)' if reason.startswith('Invalid value') else ''}"


def convert(tree: Any) -> Scenario:
    """The scenario of a tree of tables.

    Raises:
        RaceError: an unknown field, or a value of another type.
    """
    try:
        return msgspec.convert(tree, Scenario)
    except msgspec.ValidationError as error:
        raise RaceError(_said(str(error))) from None


def _said(text: str) -> str:
    """The place first, then the reason, in words of TOML."""
    reason, _, place = text.partition(" - at `$")
    place = place.rstrip("`").lstrip(".")
    if unknown := re.search(r"unknown field `([^`]*)`", reason):
        fields = ", ".join(_fields(place))
        return f"{place or 'the scenario'}: unknown field {unknown[1]}{f'; there are {fields}' if fields else ''}"
    if missing := re.search(r"missing required field `([^`]*)`", reason):
        return f"{place or 'the scenario'}: the field {missing[1]} is missing"
    for word, toml in _IN_TOML.items():
        reason = reason.replace(word, toml)
    return f"{place}: {reason[:1].lower()}{reason[1:]}"


def _fields(place: str) -> list[str]:
    """The fields of the table at a place, e.g. `setup[0].request`."""
    kind: Any = Scenario
    for name in filter(None, re.sub(r"\[[^\]]*\]", "", place).split(".")):
        fields = {each.name: each.type for each in msgspec.structs.fields(kind)}
        found = re.search(r"scenario\.(\w+)", str(fields.get(name, "")))
        if not found:
            return []
        kind = getattr(__import__(Scenario.__module__, fromlist=["_"]), found[1])
    return [each.name for each in msgspec.structs.fields(kind) if each.name not in _IN_PYTHON]
