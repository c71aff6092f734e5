"""The values that a report is made of: text, tables, figures, sections. They know neither HTML nor Markdown.

Neighbours: `sections/` make them, `html.py`, `markdown.py` and `pictures.py` write them. All text is plain: it comes
from documents that others may have written, and is escaped where it is written.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from stockade.lab.charts import Spec

PLAIN, GOOD, MEANT, BAD, OTHERS, QUIET = "plain", "good", "meant", "bad", "others", "quiet"
KINDS: Final = (PLAIN, GOOD, MEANT, BAD, OTHERS, QUIET)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: in it.
        kind: of `KINDS`: meant is broken as it must be, others is a figure of somebody else.
    """

    text: str
    kind: str = PLAIN


Text = str | Cell


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        title: what it is.
        heads: of the columns; the first one names the row.
        rows: each with a cell for each head.
        numbers: places of the columns whose cells are aligned right.
        code: whether the first column is code.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Text, ...], ...]
    numbers: frozenset[int] = frozenset()
    code: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its data.

    Attributes:
        name: of its files and of its anchor: letters, digits and `-`.
        title: above it.
        says: what is to be seen in it, in a sentence: the text alternative.
        draw: makes its specification for a width in pixels.
        table: its data.
        note: how to read it.
        opened: whether its data is seen at once.
        wide_only: whether its table stands for it on a phone, where its marks would be too small.
    """

    name: str
    title: str
    says: str
    draw: Callable[[int], Spec]
    table: Table
    note: str = ""
    opened: bool = False
    wide_only: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """Text whose line breaks and spaces matter."""

    title: str
    text: str


Part = Table | Figure | Listing


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report under a heading.

    Attributes:
        name: its anchor.
        title: its heading.
        text: paragraphs before everything else.
        parts: what it shows.
    """

    name: str
    title: str
    text: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the answer.

    Attributes:
        lead: what it says in a few words.
        text: a sentence or two.
        kind: of `KINDS`.
        section: name of the one that shows more; empty: none does.
    """

    lead: str
    text: str
    kind: str = PLAIN
    section: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """What was not measured, and the command that does."""

    what: str
    command: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything.

    Attributes:
        title: of the report.
        made: when and by which version.
        answer: the answer in a minute.
        sections: in their order.
        missing: what no document has.
        sources: where the figures come from.
    """

    title: str
    made: str
    answer: tuple[Line, ...]
    sections: tuple[Section, ...]
    missing: tuple[Missing, ...]
    sources: Table = field(default_factory=lambda: Table("Where the figures come from", (), ()))

    @property
    def figures(self) -> list[Figure]:
        """Of all sections, in order."""
        return [part for section in self.sections for part in section.parts if isinstance(part, Figure)]


def plain(text: Text) -> str:
    """The text of a cell."""
    return text.text if isinstance(text, Cell) else text


def slug(*words: str) -> str:
    """A name for files and anchors, of letters, digits and `-` only, whatever the words are."""
    letters = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in "-".join(words).lower())
    return "-".join(part for part in letters.split("-") if part)[:80] or "x"


def sentence(parts: Sequence[str]) -> str:
    """Parts as a list in a sentence: `a, b and c`."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
