"""Tables of plain text that fit their terminal: columns where there is room, else one block for each row.

It needs the standard library only, because `stockade locks` runs without the extra `shop`.
"""

import os
import shutil
import sys
import textwrap
from collections.abc import Collection, Sequence

GAP = "  "
LEAST_WIDTH = 40
INDENT = "  "
Cell = str | Sequence[str]


def screen_width() -> int | None:
    """Columns of standard output; None where it is no terminal and COLUMNS does not say it: lines may be long."""
    if not sys.stdout.isatty() and not os.environ.get("COLUMNS", "").isdecimal():
        return None
    return max(shutil.get_terminal_size().columns, LEAST_WIDTH)


def render(
    heads: Sequence[str], rows: Sequence[Sequence[Cell]], *, width: int | None, right: Collection[str] = ()
) -> str:
    """The text of a table, without a line break at its end.

    Args:
        heads: names of the columns.
        rows: the cells; a cell of several lines is a list of them.
        width: most characters of a line; None: any.
        right: heads of columns whose cells are aligned right.
    """
    cells = [[[cell] if isinstance(cell, str) else [*cell] for cell in row] for row in rows]
    columns = [max(len(head), *(len(line) for row in cells for line in row[at]), 0) for at, head in enumerate(heads)]
    if width is None or sum(columns) + len(GAP) * (len(heads) - 1) <= width:
        table = [[[head] for head in heads], [["-" * size] for size in columns], *cells]
        return "\n".join(line for row in table for line in _row(row, columns, [head in right for head in heads]))
    return "\n\n".join(_block(heads, row, width) for row in cells)


def _row(cells: Sequence[Sequence[str]], columns: Sequence[int], right: Sequence[bool]) -> list[str]:
    """One row as lines: as many as its highest cell has."""
    lines = []
    for at in range(max((len(cell) for cell in cells), default=0)):
        texts = [cell[at] if at < len(cell) else "" for cell in cells]
        padded = [
            text.rjust(size) if to_right else text.ljust(size)
            for text, size, to_right in zip(texts, columns, right, strict=True)
        ]
        lines.append(GAP.join(padded).rstrip())
    return lines


def _block(heads: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> str:
    """One row below itself: its first cell, then a line for each other cell that says something."""
    room = max(map(len, heads[1:]), default=0)
    lines = _wrapped(" ".join(cells[0]), width)
    for head, cell in zip(heads[1:], cells[1:], strict=True):
        said = [line for text in cell if text for line in _wrapped(text, width - len(INDENT) - room - len(GAP))]
        lines += [f"{INDENT}{head if at == 0 else '':<{room}}{GAP}{line}" for at, line in enumerate(said)]
    return "\n".join(lines)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]
