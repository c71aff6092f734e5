"""UNION ALL of several tables, so that a rule compares them by the sums of groups instead of by a join.

A join of large tables depends on the plan that the database chooses; a bad plan compares every row with every other.
Sorting or hashing the rows of one UNION has no such plan.
Neighbours: the rules compare what two tables say about one thing, where the second table has no index for a look-up.
"""

from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, String, Subquery, case, literal_column, union_all


def stack(*parts: Select[Any]) -> Subquery:
    """The rows of all parts in one subquery.

    Args:
        parts: selects of labelled columns. A column that a part does not have is 0 in its rows, or '' if it is a text:
            neither changes a sum or a maximum.
    """
    columns: dict[str, str] = {}
    for part in parts:
        for column in part.selected_columns:
            columns.setdefault(str(column.key), "''" if isinstance(column.type, String) else "0")
    return union_all(*(_filled(part, columns) for part in parts)).subquery("stacked")


def _filled(part: Select[Any], columns: dict[str, str]) -> Select[Any]:
    """The part with all columns, in one order."""
    own = {str(column.key): column for column in part.selected_columns}
    names = [own[name] if name in own else literal_column(empty).label(name) for name, empty in columns.items()]
    return part.with_only_columns(*names)


def one(name: str) -> ColumnElement[int]:
    """1 in every row of a part: the sum is the number of its rows."""
    return literal_column("1", Integer).label(name)


def one_if(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """1 where the condition is true, else 0."""
    return case((condition, 1), else_=0)


def many_groups(statement: Select[Any]) -> Select[Any]:
    """A statement with many groups: MariaDB and MySQL sort, instead of looking up each row in a temporary table."""
    for name in ("mysql", "mariadb"):
        statement = statement.prefix_with("SQL_BIG_RESULT", dialect=name)
    return statement
