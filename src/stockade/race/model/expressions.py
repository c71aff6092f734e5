"""The language of invariants: comparisons of names, numbers and a few functions, e.g. `sum(ledger) == balance`.

The syntax is that of Python's expressions, and `=` is `==` too; nothing else of Python works in it. Neighbours:
`checks.py` parses each invariant before the race, `steps/verdict.py` evaluates it after each round.
"""

import ast
import io
import tokenize
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stockade.race.errors import RaceError

_OPERATORS: dict[type[ast.AST], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Lt: ("<", lambda a, b: a < b),
    ast.LtE: ("<=", lambda a, b: a <= b),
    ast.Gt: (">", lambda a, b: a > b),
    ast.GtE: (">=", lambda a, b: a >= b),
    ast.Eq: ("==", lambda a, b: a == b),
    ast.NotEq: ("!=", lambda a, b: a != b),
    ast.Add: ("+", lambda a, b: a + b),
    ast.Sub: ("-", lambda a, b: a - b),
    ast.Mult: ("*", lambda a, b: a * b),
    ast.Div: ("/", lambda a, b: a / b),
}

_SHOWN = 80  # characters of a value
_LIKE = "sold <= stock"


@dataclass(frozen=True, slots=True)
class Values:
    """Values that were taken out of the answers, one for each success.

    Attributes:
        values: in the order of the buyers.
        keys: the number of the key of each buyer, in the same order.
    """

    values: list[Any]
    keys: list[int]


def differing_keys(found: Values) -> int:
    """How many keys were answered with different values."""
    by_key: dict[int, set[str]] = {}
    for key, value in zip(found.keys, found.values, strict=True):
        by_key.setdefault(key, set()).add(repr(value))
    return sum(len(each) > 1 for each in by_key.values())


def listed(value: Any) -> list[Any]:
    """The values of a list, of answers, or of one value."""
    if isinstance(value, Values):
        return value.values
    return value if isinstance(value, list) else [value]


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sum": lambda found: sum(listed(found)),
    "count": lambda found: len(listed(found)),
    "distinct": lambda found: len({repr(each) for each in listed(found)}),
    "min": lambda found: min(listed(found)),
    "max": lambda found: max(listed(found)),
    "differing_keys": differing_keys,
}


class Expression:
    """An invariant, parsed.

    Args:
        text: e.g. `successes <= stock`.

    Attributes:
        names: of all values that it needs.
        called: (function, name) of each call.

    Raises:
        RaceError: it is none; the message says what is wrong.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._root = ast.parse(_with_double_equals(text.strip()), mode="eval").body
        except (SyntaxError, ValueError, tokenize.TokenError):
            raise RaceError(f"{text!r} is no comparison: write one like {_LIKE}") from None
        self.names: set[str] = set()
        self.called: set[tuple[str, str]] = set()
        self._check_condition(self._root)

    def _check_condition(self, node: ast.AST) -> None:
        """A comparison, or several joined: a number alone would be true or false by chance."""
        match node:
            case ast.BoolOp(values=values):
                for each in values:
                    self._check_condition(each)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self._check_condition(operand)
            case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _OPERATORS for op in ops):
                before = [ast.dump(each) for each in (left, *others)]
                if not _names(node) or len({*before}) < len(before):
                    raise RaceError(f"{ast.unparse(node)!r} compares no value with another: write one like {_LIKE}")
                for each in (left, *others):
                    self._check_value(each)
            case _:
                raise RaceError(f"{ast.unparse(node)!r} compares nothing: write one like {_LIKE}")

    def _check_value(self, node: ast.AST) -> None:
        match node:
            case ast.Call(func=ast.Name(id=function), args=[ast.Name(id=name)], keywords=[]) if function in _FUNCTIONS:
                self.names.add(name)
                self.called.add((function, name))
            case ast.Call():
                raise RaceError(f"{ast.unparse(node)}: must be one of {', '.join(_FUNCTIONS)}, of one name")
            case ast.Name(id=name):
                self.names.add(name)
            case ast.Constant(value=int() | float() | str()):
                pass
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                self._check_value(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                self._check_value(left)
                self._check_value(right)
            case _:
                raise RaceError(
                    f"{ast.unparse(node)}: an invariant has names, numbers, + - * /, comparisons, and, or, not"
                )

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it holds.

        Args:
            values: name -> value.

        Raises:
            RaceError: it cannot be computed of these values.
        """
        return bool(self._value(self._root, values))

    def shown(self, values: Mapping[str, Any]) -> str:
        """The comparison with its numbers, e.g. `23 <= 20`."""
        root = self._root
        if not isinstance(root, ast.Compare):
            return ", ".join(f"{name} = {show(values[name])}" for name in sorted(self.names))
        parts = [show(self._value(root.left, values))]
        for op, other in zip(root.ops, root.comparators, strict=True):
            parts += [_OPERATORS[type(op)][0], show(self._value(other, values))]
        return " ".join(parts)

    def _value(self, node: ast.AST, values: Mapping[str, Any]) -> Any:
        try:
            return self._compute(node, values)
        except (TypeError, ValueError, ArithmeticError) as error:
            given = ", ".join(f"{name} = {show(values[name])}" for name in sorted(self.names))
            raise RaceError(f"{self.text}: cannot be computed with {given} ({error})") from None

    def _compute(self, node: ast.AST, values: Mapping[str, Any]) -> Any:
        match node:
            case ast.Call(func=ast.Name(id=function), args=[ast.Name(id=name)]):
                return _FUNCTIONS[function](values[name])
            case ast.Name(id=name):
                return values[name]
            case ast.Constant(value=value):
                return value
            case ast.BoolOp(op=ast.And(), values=parts):
                return all(self._compute(each, values) for each in parts)
            case ast.BoolOp(values=parts):
                return any(self._compute(each, values) for each in parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self._compute(operand, values)
            case ast.UnaryOp(operand=operand):
                return -self._compute(operand, values)
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATORS[type(op)][1](self._compute(left, values), self._compute(right, values))
            case ast.Compare(left=left, ops=ops, comparators=others):
                numbers = [self._compute(each, values) for each in (left, *others)]
                return all(_OPERATORS[type(op)][1](numbers[at], numbers[at + 1]) for at, op in enumerate(ops))
        raise AssertionError(node)  # `_check` has refused every other


def _with_double_equals(text: str) -> str:
    """The text with `==` for each `=` that is no part of a text in quotes.

    Raises:
        tokenize.TokenError: it is no expression.
    """
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    lines = text.splitlines()
    for token in reversed([each for each in tokens if each.type == tokenize.OP and each.string == "="]):
        (row, column), line = token.start, lines[token.start[0] - 1]
        lines[row - 1] = f"{line[:column]}={line[column:]}"
    return "\n".join(lines)


def _names(node: ast.AST) -> set[str]:
    called = {id(each.func) for each in ast.walk(node) if isinstance(each, ast.Call)}
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and id(each) not in called}


def show(value: Any) -> str:
    """A value for people; of a long list its beginning and its length."""
    if isinstance(value, Values):
        value = value.values
    text = f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)
    if len(text) <= _SHOWN:
        return text
    return f"{text[:_SHOWN]}…" + (f" ({len(value):,} values)" if isinstance(value, list) else "")
