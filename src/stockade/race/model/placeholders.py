"""Placeholders in the texts of a scenario: `{n}`, `{key}`, `{uuid}`, and every variable that the set-up saves.

`{name:int}` alone in a text becomes a number. Braces around anything but a name stay, as in JSON. Neighbours:
`scenario.py` has the texts, `steps/` fill them.
"""

import re
import uuid
from collections.abc import Mapping
from typing import Any

from stockade.race.errors import RaceError

NAME = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
NUMBER = re.compile(r"\{([a-z_][a-z0-9_]*):int\}")
FRESH = "uuid"


def names_in(value: Any) -> set[str]:
    """The names of the placeholders in a text, or in all texts of a list or a table."""
    if isinstance(value, str):
        return {*NAME.findall(value), *NUMBER.findall(value)}
    if isinstance(value, Mapping):
        return set().union(*(names_in(each) for pair in value.items() for each in pair))
    if isinstance(value, list | tuple):
        return set().union(*map(names_in, value))
    return set()


def fill(value: Any, variables: Mapping[str, Any]) -> Any:
    """The value with the variables in its texts; `{uuid}` is a new one at each place.

    Args:
        value: a text, or a list or table of values.
        variables: name -> value.

    Raises:
        RaceError: `{name:int}` of something that is no whole number.
    """
    if isinstance(value, str):
        if whole := NUMBER.fullmatch(value):
            return _integer(whole[1], variables)
        return NAME.sub(lambda found: _text(found, variables), value)
    if isinstance(value, Mapping):
        return {fill(name, variables): fill(each, variables) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [fill(each, variables) for each in value]
    return value


def _text(found: re.Match[str], variables: Mapping[str, Any]) -> str:
    if found[1] == FRESH:
        return str(uuid.uuid4())
    return str(variables[found[1]]) if found[1] in variables else found[0]


def _integer(name: str, variables: Mapping[str, Any]) -> int:
    try:
        return int(variables[name])
    except (KeyError, TypeError, ValueError):
        raise RaceError(f"{{{name}:int}}: must be a whole number, not {variables.get(name)!r}") from None
