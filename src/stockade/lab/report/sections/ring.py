"""Rings and soaks: what each strategy claims under each fault against what was observed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from stockade.lab.charts import Cell as Square
from stockade.lab.charts import Spec, matrix
from stockade.lab.faults import FAULTS
from stockade.lab.report.documents import CellOfRing, Document, Source
from stockade.lab.report.page import BAD, GOOD, MEANT, QUIET, Cell, Figure, Missing, Part, Section, Table, Text, slug
from stockade.lab.ring.cell import NO_FAULT
from stockade.lab.ring.expectation import (
    AS_CLAIMED,
    BROKEN_AS_CLAIMED,
    FAILED,
    FAILURES,
    HELD,
    LATE,
    MUST_BREAK,
    NOT_CAUGHT,
    NOT_EXPOSED,
    NOT_RUN,
    VIOLATED,
)
from stockade.lab.ring.matrix import LEGEND, MARKS

MISSING: Final = Missing("claimed against observed, under every fault", "stockade lab ring --json ring.json")
KINDS: Final = {
    AS_CLAIMED: GOOD,
    BROKEN_AS_CLAIMED: MEANT,
    VIOLATED: BAD,
    LATE: BAD,
    NOT_CAUGHT: BAD,
    FAILED: BAD,
    NOT_EXPOSED: "nothing",
    NOT_RUN: "nothing",
}
SHOWN: Final = 60  # failed cells of a ring


def section(sources: Sequence[Source]) -> Section | None:
    """Of every document of a ring or a soak."""
    found = [(each, each.document) for each in sources if each.document and each.document.cells]
    if not found:
        return None
    text, parts = [], list[Part]()
    for source, document in found:
        text.append(sums(document))
        if document.matrix:
            parts.append(_figure(source, document))
        parts += _tables(document)
    return Section("ring", "Claimed against observed", tuple(text), tuple(parts))


def sums(document: Document) -> str:
    """How many cells there were, and what became of those that claim something."""
    operations = Counter[str]()
    for each in document.cells:
        operations.update(each.operations)
    claimed = [each for each in document.cells if each.expected == HELD]
    kept = sum(each.verdict == AS_CLAIMED for each in claimed)
    controls = [each for each in document.cells if each.expected == MUST_BREAK]
    caught = sum(each.verdict == BROKEN_AS_CLAIMED for each in controls)
    unfinished = "" if document.complete else " It was interrupted."
    return (
        f"{len(document.cells)} recordings, {sum(operations.values()):,} operations. {kept} of {len(claimed)} that "
        f"claim to break no rule broke none; {caught} of {len(controls)} recordings of negative controls were "
        f"caught.{unfinished}"
    )


def failures(document: Document) -> list[CellOfRing]:
    """The cells that a ring must not have, the worst first."""
    return sorted(
        (each for each in document.cells if each.verdict in FAILURES), key=lambda e: FAILURES.index(e.verdict)
    )


def _figure(source: Source, document: Document) -> Figure:
    names = list(dict.fromkeys(each.strategy for each in document.matrix))
    met = {each.fault for each in document.matrix if each.verdict != NOT_RUN}
    known_order = [NO_FAULT, *FAULTS]
    order = [fault for fault in known_order if fault in met] + sorted(met.difference(known_order))
    known = {(each.fault, each.strategy): each.verdict for each in document.matrix}
    squares = [
        Square(fault, name, _mark(verdict), KINDS.get(verdict, BAD))
        for fault in order
        for name in names
        for verdict in [known.get((fault, name), NOT_RUN)]
    ]
    counts = Counter(each.mark for each in squares if each.mark != MARKS[NOT_RUN])
    said = ", ".join(f"{number} {mark}" for mark, number in counts.most_common())
    rows: list[tuple[Text, ...]] = [
        (fault, *(Cell(_mark(v), _kind(v)) for name in names for v in [known.get((fault, name), NOT_RUN)]))
        for fault in order
    ]
    return Figure(
        slug("matrix", source.name),
        "What each strategy claims under each fault, and what was observed",
        f"A matrix of {len(order)} faults and {len(names)} strategies: {said}.",
        lambda width: _drawn(squares, width),
        Table("Faults and strategies", ("fault", *names), tuple(rows), code=True),
        f"{LEGEND}.",
        wide_only=True,
    )


def _drawn(squares: Sequence[Square], width: int) -> Spec:
    return matrix(squares, width=width)


def _mark(verdict: str) -> str:
    return MARKS.get(verdict, verdict)


def _kind(verdict: str) -> str:
    kind = KINDS.get(verdict, BAD)
    return QUIET if kind == "nothing" else kind


def _tables(document: Document) -> list[Part]:
    parts: list[Part] = []
    failed = failures(document)
    if failed:
        parts.append(
            Table(
                "Recordings that failed" + (f": {SHOWN} of {len(failed)}" if len(failed) > SHOWN else ""),
                ("recording", "verdict", "seed", "why"),
                tuple((each.cell, Cell(each.verdict, BAD), str(each.seed), _why(each)) for each in failed[:SHOWN]),
                numbers=frozenset({2}),
                code=True,
            )
        )
    controls = [each for each in document.cells if each.expected == MUST_BREAK]
    if controls:
        parts.append(
            Table(
                "Negative controls: what protects nothing must be caught",
                ("control", "database", "caught in", "by the rules"),
                tuple(_controls(controls)),
                code=True,
            )
        )
    reasons: dict[str, dict[str, None]] = {}
    for pair in document.matrix:
        if pair.reason:
            reasons.setdefault(pair.reason.removeprefix(f"{pair.strategy} "), {})[pair.strategy] = None
    if reasons:
        lines = tuple((reason, ", ".join(names)) for reason, names in reasons.items())
        parts.append(Table("What was not run, and why", ("reason", "strategies"), lines))
    return parts


def _why(cell: CellOfRing) -> str:
    first = [f"{each.rule}: {each.detail}" for each in cell.violations[:1]]
    return "; ".join([*first, *([cell.reason] if cell.reason else [])])


def _controls(controls: Sequence[CellOfRing]) -> Iterator[tuple[Text, ...]]:
    """A row for each control on each database: one of its recordings must catch it."""
    for name, database in dict.fromkeys((each.strategy, each.database) for each in controls):
        own = [each for each in controls if (each.strategy, each.database) == (name, database)]
        caught = [each for each in own if each.verdict == BROKEN_AS_CLAIMED]
        rules = ", ".join(dict.fromkeys(found.rule for each in caught for found in each.violations))
        share = f"{len(caught)} of {len(own)}"
        yield name, database, Cell(share, GOOD if caught else BAD), rules or "none"
