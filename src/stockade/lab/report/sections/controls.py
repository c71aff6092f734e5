"""What each control does that the answer names, for who has nothing but the report.

The sentences are those of the live page. Neighbour: `build.py` puts this section first, because it needs the answer.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from stockade.lab.live.words import words
from stockade.lab.model.contender import all_contenders
from stockade.lab.report.documents import Source
from stockade.lab.report.page import Line, Section, Table

NAME: Final = "controls"
DOCUMENTED: Final = "docs/strategies/{}.md"


def meaning(control: str, database: str) -> str:
    """How a control protects a row, in a sentence or two; empty of a scheme of payments, whose section says it.

    Args:
        control: name of a contender.
        database: its dialect; empty: any.
    """
    said = words("en")
    name = f"why.{control.partition(':')[0]}"
    return said.get(f"{name}.{database}") or said.get(name, "")


def section(answer: Sequence[Line], sources: Sequence[Source]) -> Section | None:
    """Of all controls that the answer names; None: it names none.

    Args:
        answer: the lines.
        sources: documents and histories.
    """
    text = "\n".join(f"{line.lead}: {line.text}" for line in answer)
    named = [
        each.name for each in all_contenders(with_forms=False) if re.search(rf"(?<![\w-]){each.name}(?![\w-])", text)
    ]
    if not named:
        return None
    measured = {database for each in sources for database in _databases(each)}
    database = measured.pop() if len(measured) == 1 else ""
    rows = tuple((name, meaning(name, database), DOCUMENTED.format(name)) for name in named)
    return Section(
        NAME,
        "What the controls do",
        ("More about each stands in its page of stockade's documentation.",),
        (Table("Controls that the answer names", ("control", "what it does", "page"), rows, code=True),),
    )


def _databases(source: Source) -> Iterator[str]:
    if source.document is not None:
        yield from (run.database for run in source.document.runs)
    if source.history is not None:
        yield source.history.database
    if source.sweep is not None:
        yield str(source.sweep.settings.get("database", ""))
