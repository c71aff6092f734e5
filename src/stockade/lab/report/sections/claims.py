"""The reports' claims: what they say, what was measured, the verdict."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from stockade.lab.charts import Axis, Series, Spec, lines
from stockade.lab.claims.claim import FALSE, HOLDS
from stockade.lab.report.documents import Claim, Source
from stockade.lab.report.groups import style_of
from stockade.lab.report.numbers import few, ms
from stockade.lab.report.page import BAD, GOOD, MEANT, QUIET, Cell, Figure, Missing, Part, Section, Table, Text, slug

MISSING: Final = Missing("what the reports claim, measured", "stockade lab claims --json claims.json")
KINDS: Final = {HOLDS: GOOD, FALSE: BAD}
HEADS: Final = ("claim", "verdict", "the report says", "because, or when", "measured")
CURVES: Final = ("optimistic", "pessimistic")
LEAST_POINTS: Final = 2


def section(sources: Sequence[Source]) -> Section | None:
    """Of every document of claims."""
    found = [(each, claim) for each in sources if each.document for claim in each.document.claims]
    if not found:
        return None
    parts: list[Part] = []
    for source, claim in found:
        points = _points(claim)
        if len(points) >= LEAST_POINTS:
            parts.append(_attempts(source, claim, points))
    rows = tuple(_row(claim) for _, claim in found)
    parts.append(
        Table(
            "What the reports say",
            ("claim", "verdict", "the report says", "because, or when", "measured"),
            rows,
            code=True,
        )
    )
    return Section("claims", "What the reports claim", parts=tuple(parts))


def _row(claim: Claim) -> tuple[Text, ...]:
    said = f"{claim.says} ({claim.source})"
    if claim.left_out:
        return claim.name, Cell("not measured", QUIET), said, "", claim.left_out
    doubt = "" if claim.as_expected is not False else " NOT TO BE TRUSTED: a control did not fail as it must."
    verdict = Cell(claim.verdict, BAD if doubt else KINDS.get(claim.verdict, MEANT))
    return claim.name, verdict, said, f"{claim.why}.{doubt}", f"{'; '.join(claim.measured)} ({claim.database})"


def _points(claim: Claim) -> list[tuple[float, float, float]]:
    """Buyers, and the times of both curves, where a claim measured a sweep."""
    found = claim.figures.get("sweep")
    named = ("buyers", *(f"{name}_ms" for name in CURVES))
    if not isinstance(found, list):
        return []
    whole = [each for each in found if isinstance(each, dict) and all(_is_number(each.get(name)) for name in named)]
    return [(float(each["buyers"]), float(each[named[1]]), float(each[named[2]])) for each in whole]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _attempts(source: Source, claim: Claim, points: Sequence[tuple[float, float, float]]) -> Figure:
    return Figure(
        slug("claim", claim.name, source.name),
        f"Optimistic against pessimistic control on one row, by the number of buyers ({claim.database})",
        f"Two lines of times over the number of buyers. {crossing(points)}",
        lambda width: _drawn(points, width),
        Table(
            "Times by the number of buyers",
            ("buyers", *(f"{name} ms" for name in CURVES)),
            tuple((few(buyers), ms(first), ms(second)) for buyers, first, second in points),
            numbers=frozenset({0, 1, 2}),
        ),
        "Both scales are logarithmic.",
    )


def crossing(points: Sequence[tuple[float, float, float]]) -> str:
    """Between which numbers of buyers the other one becomes faster, in a sentence."""
    for before, after in pairwise(points):
        if (before[1] < before[2]) != (after[1] < after[2]):
            faster = CURVES[0] if after[1] < after[2] else CURVES[1]
            return f"They cross between {few(before[0])} and {few(after[0])} buyers: from there on {faster} is faster."
    faster = CURVES[0] if points[-1][1] < points[-1][2] else CURVES[1]
    return f"They do not cross: {faster} is faster throughout."


def _drawn(points: Sequence[tuple[float, float, float]], width: int) -> Spec:
    looks = style_of(CURVES)
    series = [
        Series(name, looks[name], tuple((point[0], point[at]) for point in points)) for at, name in enumerate(CURVES, 1)
    ]
    return lines(series, Axis("buyers", log=True), Axis("ms", log=True), width=width, height=240)
