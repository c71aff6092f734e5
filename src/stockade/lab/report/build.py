"""Puts a report together. Neighbours: `sections/` make its parts, `answer.py` its top, `provenance/` its end."""

from collections.abc import Sequence
from dataclasses import replace

from stockade.lab.report.answer import answer
from stockade.lab.report.documents import Source
from stockade.lab.report.page import Figure, Part, Report, Section
from stockade.lab.report.provenance.table import table
from stockade.lab.report.sections import SECTIONS, controls
from stockade.lab.reporting.checkout import without_commit
from stockade.lab.reporting.environment import describe_machine

TITLE = "Which control, when: what the lab measured"


def build(sources: Sequence[Source], title: str = TITLE) -> Report:
    """The report of these sources.

    Args:
        sources: documents and histories; at least one.
        title: of the report.
    """
    lines = answer(sources)
    named = controls.section(lines, sources)
    made = [(each, each.make(sources)) for each in SECTIONS]
    here = describe_machine()
    return Report(
        title=title,
        made=f"Made by stockade {without_commit(str(here['stockade']))} on {str(here['date'])[:10]}",
        answer=tuple(lines),
        sections=tuple(_with_own_names([section for section in (named, *(each for _, each in made)) if section])),
        missing=tuple(each.missing for each, section in made if section is None),
        sources=table(sources),
    )


def _with_own_names(sections: Sequence[Section]) -> list[Section]:
    """The same with a name for each figure that no other has: two files may have one name."""
    taken: dict[str, int] = {}
    found = []
    for section in sections:
        parts: list[Part] = []
        for part in section.parts:
            if isinstance(part, Figure):
                taken[part.name] = taken.get(part.name, 0) + 1
                number = taken[part.name]
                parts.append(part if number == 1 else replace(part, name=f"{part.name}-{number}"))
            else:
                parts.append(part)
        found.append(replace(section, parts=tuple(parts)))
    return found
