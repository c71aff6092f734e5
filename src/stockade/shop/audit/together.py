"""Records of several tables laid together, so that a rule compares them by summing up groups instead of by a join.

A join of large tables is only as good as the plan that the database guesses: a wrong guess compares every record with
every other. Sorting or hashing one pile of records has no such plan. Neighbours: the rules that compare what two tables
say about the same thing, where the second one has no key to look it up by.
"""

from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, String, Subquery, literal_column, union_all


def together(*parts: Select[Any]) -> Subquery:
    """The records of all parts below each other.

    Args:
        parts: selects of labelled columns. What a part does not have is 0 in its records, or '' where it is a text:
            neither changes a sum or the largest value.
    """
    columns: dict[str, str] = {}
    for part in parts:
        for column in part.selected_columns:
            columns.setdefault(str(column.key), "''" if isinstance(column.type, String) else "0")
    return union_all(*(_filled(part, columns) for part in parts)).subquery("pile")


def _filled(part: Select[Any], columns: dict[str, str]) -> Select[Any]:
    """The part with all columns, in one order."""
    own = {str(column.key): column for column in part.selected_columns}
    names = [own[name] if name in own else literal_column(empty).label(name) for name, empty in columns.items()]
    return part.with_only_columns(*names)


def one(name: str) -> ColumnElement[int]:
    """1 in every record of a part: summed up, how many there are."""
    return literal_column("1", Integer).label(name)


def summed(statement: Select[Any]) -> Select[Any]:
    """A statement with many groups: MariaDB and MySQL sort for it, where they would look each record up in a table."""
    for name in ("mysql", "mariadb"):
        statement = statement.prefix_with("SQL_BIG_RESULT", dialect=name)
    return statement
