"""The SQL of a read, taken apart before it is sent: one SELECT that writes nothing, its placeholders as parameters.

A value is never pasted into SQL: it may come from an answer of the service. Only what every database reads alike is
taken: no comment, no backslash in a text, no dollar quotes, because one database would see a statement in what another
takes for a text. Neighbours: `checks.py` parses each read before the race, `steps/sql.py` sends it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stockade.race.errors import RaceError
from stockade.race.model.placeholders import NAME, NUMBER, fill, names_in

_READS = ("select", "with", "values", "table")
_PART = re.compile(
    rf"""(?P<text>'(?:[^'\\]|'')*') | (?P<name>"[^"\\]*"|`[^`\\]*`) | (?P<value>{NAME.pattern}|{NUMBER.pattern})
    | (?P<comment>--|/\*|\#) | (?P<quote>['"`]|\$\w*\$|\\) | (?P<own>\$\d+) | (?P<end>;)
    | (?P<word>\w+) | (?P<other>\s+|.)""",
    re.VERBOSE | re.DOTALL,
)
_REFUSED = {
    "comment": "has a comment: leave it out",
    "quote": "has a quote that does not end, a backslash or dollar quotes: write a variable instead, e.g. {name}",
    "own": "has a parameter of its own: write a variable, e.g. {name}",
    "end": "has more than one statement: must be one SELECT",
}


@dataclass(frozen=True, slots=True)
class Select:
    """One statement that reads.

    Attributes:
        pieces: SQL, and between two pieces one parameter.
        parameters: texts with placeholders: what a parameter is filled from.
    """

    pieces: tuple[str, ...]
    parameters: tuple[str, ...]

    @classmethod
    def parse(cls, sql: str) -> "Select":
        """Take a statement apart.

        Args:
            sql: with placeholders, alone or in a text in quotes.

        Raises:
            RaceError: it may write, is more than one statement, or a placeholder is no value; without the SQL.
        """
        sql = sql.strip().removesuffix(";").strip()
        first = re.match(r"\w*", sql)
        assert first is not None
        if first[0].lower() not in _READS:
            raise RaceError(f"must be a SELECT: reads never write, and this begins with {sql[:20] or 'nothing'}")
        pieces, parameters = [""], []
        for part in _PART.finditer(sql):
            kind, text = str(part.lastgroup), part[0]
            if kind in _REFUSED:
                raise RaceError(_REFUSED[kind])
            if kind == "word" and text.lower() == "into":
                raise RaceError("has INTO, which writes: reads never write")
            if (kind == "name" and names_in(text)) or (kind == "value" and _touches_a_name(sql, *part.span())):
                raise RaceError(f"{text}: is part of a name; only a value can be a variable")
            if kind == "value" or (kind == "text" and names_in(text)):
                parameters.append(text)
                pieces.append("")
            else:
                pieces[-1] += text
        return cls(tuple(pieces), tuple(parameters))

    def sql(self, mark: Callable[[int], str]) -> str:
        """The statement for a database.

        Args:
            mark: the parameter of a number from 1, e.g. `$1`.
        """
        marked = (mark(at) + piece for at, piece in enumerate(self.pieces[1:], 1))
        return self.pieces[0] + "".join(marked)

    def values(self, variables: Mapping[str, Any]) -> list[Any]:
        """The parameters: a placeholder alone is its value, one in quotes a text.

        Args:
            variables: of the round.

        Raises:
            RaceError: a placeholder has no value.
        """
        for name in sorted(names_in(self.parameters) - {*variables, "uuid"}):
            raise RaceError(f"nothing gives {{{name}}} a value")
        return [_value(text, variables) for text in self.parameters]


def _touches_a_name(sql: str, start: int, end: int) -> bool:
    around = sql[max(start - 1, 0) : start] + sql[end : end + 1]
    return bool(re.search(r"[\w.$}{\"`']", around))


def _value(text: str, variables: Mapping[str, Any]) -> Any:
    if text.startswith("'"):
        return str(fill(text[1:-1].replace("''", "'"), variables))
    if (found := NAME.fullmatch(text)) and found[1] in variables:
        value = variables[found[1]]
        return value if isinstance(value, int | float | str) else str(value)
    return fill(text, variables)
