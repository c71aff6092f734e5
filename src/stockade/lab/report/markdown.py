"""A report as Markdown, with pictures beside it. Neighbours: `page.py` has what is in it, `pictures.py` writes those.

Everything from a document is escaped by entities: it can be no link, no HTML and no end of a cell.
"""

import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Final

from stockade.lab.report.page import Cell, Figure, Listing, Report, Section, Table, Text, plain

COLUMNS: Final = 119
ENTITIES: Final = {each: f"&#{ord(each)};" for each in ("\\", "`", "*", "[", "]", "|", "~")} | {">": "&gt;"}
MARKUP: Final = re.compile(r"[&<](?=\S)")  # before a space they are only letters
Picture = Callable[[Figure], str]


def markdown(report: Report, picture: Picture | None = None, *, level: int = 1) -> str:
    """The whole text.

    Args:
        report: of the lab.
        picture: address of the picture of a figure; None: there are none, the tables have the data.
        level: of the first heading.
    """
    mark = "#" * level
    lines = [f"{mark} {escape(report.title)}", "", f"{escape(report.made)}.", "", f"{mark}# In a minute", ""]
    for line in report.answer:
        lines += _wrapped(f"**{escape(line.lead)}:** {escape(line.text)}", "- ")
    for section in report.sections:
        lines += _section(section, picture, mark)
    if report.missing:
        lines += ["", f"{mark}# Not measured here", ""]
        for missing in report.missing:
            lines += _wrapped(f"{escape(missing.what)}: {code(missing.command)}", "- ")
    lines += ["", f"{mark}# Where the figures come from", ""]
    for row in report.sources.rows:
        lines += _wrapped(_source(report.sources.heads, row), "- ")
    return "\n".join(lines) + "\n"


def _source(heads: Sequence[str], row: Sequence[Text]) -> str:
    """Where the figures of one file come from: its name and its command are code."""
    said = [
        f"{escape(head)} {code(plain(cell)) if head == 'command' else escape(plain(cell))}"
        for head, cell in zip(heads[1:], row[1:], strict=True)
    ]
    return f"{code(plain(row[0]))}: {'; '.join(said)}"


def _section(section: Section, picture: Picture | None, mark: str) -> list[str]:
    lines = ["", f"{mark}# {escape(section.title)}"]
    for text in section.text:
        lines += ["", *_wrapped(escape(text))]
    for part in section.parts:
        lines += ["", *_wrapped(f"**{escape(part.title)}**"), ""]
        if isinstance(part, Table):
            lines += table(part)
        elif isinstance(part, Listing):
            lines += [f"    {line}" for line in part.text.splitlines()]
        else:
            lines += _figure(part, picture)
    return lines


def _figure(figure: Figure, picture: Picture | None) -> list[str]:
    lines = []
    if picture:
        lines += [*_wrapped(f"![{escape(figure.says)}]({picture(figure)})"), ""]
    if figure.note:
        lines += [*_wrapped(escape(figure.note)), ""]
    return [*lines, *table(figure.table)]


def table(shown: Table) -> list[str]:
    """The lines of a table."""
    marks = ["---:" if at in shown.numbers else "---" for at in range(len(shown.heads))]
    lines = [f"| {' | '.join(escape(head) for head in shown.heads)} |", f"|{'|'.join(marks)}|"]
    return lines + [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in shown.rows]


def _cell(cell: Text) -> str:
    escaped = escape(plain(cell))
    if isinstance(cell, Cell) and cell.text:
        return {"bad": f"**{escaped}**", "others": f"*{escaped}*"}.get(cell.kind, escaped)
    return escaped


def escape(text: str) -> str:
    """The text so that it is shown as it is, whatever is in it."""
    one_line = MARKUP.sub(lambda found: "&amp;" if found[0] == "&" else "&lt;", " ".join(text.split()))
    return "".join(ENTITIES.get(each, each) for each in one_line)


def code(text: str) -> str:
    """The text as code, or escaped where code cannot hold it."""
    one_line = " ".join(text.split())
    return escape(one_line) if set(one_line) & set("`|\\") else f"`{one_line}`"


def _wrapped(text: str, first: str = "") -> list[str]:
    indent = " " * len(first)
    return textwrap.wrap(
        text, COLUMNS, initial_indent=first, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
