"""Waiting and fairness: how much longer than others the last ones wait, and whether clients get equal shares."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from stockade.lab.charts import Axis, Bar, Spec, bars
from stockade.lab.history.history import History
from stockade.lab.report.documents import Claim, Source
from stockade.lab.report.groups import Group, behind, compared, loads, rows, style_of
from stockade.lab.report.numbers import jain, ms
from stockade.lab.report.page import Figure, Missing, Part, Section, Table, slug
from stockade.lab.report.recordings import is_decision, label
from stockade.lab.report.sections.swept_cost import waits

MISSING: Final = Missing("waiting and fairness", "stockade lab claims fairness,wake-up,lock-wait --json claims.json")
ABOUT_WAITING: Final = ("fairness", "wake-up", "lock-wait", "nowait", "hold-time")


def section(sources: Sequence[Source]) -> Section | None:
    """Of every group and sweep, of histories, and of the claims about waiting."""
    parts: list[Part] = [_unequal(group, behind(group, sources)) for group in compared(sources)]
    for each in sources:
        found = waits(each.sweep) if each.sweep else None
        parts += [found] if found else []
    histories = [each.history for each in sources if each.history]
    if histories:
        parts.append(_shares(histories))
    claims = [claim for each in sources if each.document for claim in each.document.claims]
    about = [each for each in claims if each.name in ABOUT_WAITING and not each.left_out]
    if about:
        parts.append(_claims(about))
    return Section("waiting", "Waiting and fairness", loads(sources), tuple(parts)) if parts else None


def _unequal(group: Group, of: str) -> Figure:
    shown = sorted(rows(group), key=lambda row: row.p99 / max(row.p50, 0.001))
    ratios = [(row.name, row.p99 / max(row.p50, 0.001)) for row in shown]
    return Figure(
        slug("unequal", group.slug),
        f"How many times longer the last buyers wait than half of them{of}",
        f"Bars from {ratios[0][0]} with {ratios[0][1]:.1f} to {ratios[-1][0]} with {ratios[-1][1]:.1f}.",
        lambda width: _drawn(ratios, width),
        Table(
            f"p99 by p50{of}",
            ("strategy", "p50 ms", "p99 ms", "p99 / p50"),
            tuple(
                (row.name, ms(row.p50), ms(row.p99), f"{value:.1f}")
                for row, (_, value) in zip(shown, ratios, strict=True)
            ),
            numbers=frozenset({1, 2, 3}),
            code=True,
        ),
        "1 is fair: everybody waits as long. A batch answers all of its buyers at once; retries let the unlucky wait.",
    )


def _drawn(ratios: Sequence[tuple[str, float]], width: int) -> Spec:
    looks = style_of([name for name, _ in ratios])
    return bars(
        [Bar(name, value, f"{value:.1f}", looks[name].colour) for name, value in ratios],
        Axis("p99 / p50"),
        width=width,
    )


def _shares(histories: Sequence[History]) -> Table:
    lines = []
    for each in histories:
        decided = [op for op in each.operations if is_decision(op)]
        by_client = Counter({op.client: 0 for op in each.operations})
        by_client.update(op.client for op in decided)
        counts = list(by_client.values()) or [0]
        longest = max((op.return_ns - op.invoke_ns for op in decided), default=0) / 1e6
        lines.append(
            (
                label(each, histories),
                str(len(counts)),
                str(min(counts)),
                str(max(counts)),
                f"{jain(counts):.3f}",
                ms(longest),
            )
        )
    return Table(
        "Decided commands (accepted or refused, without reads) of each client: Jain's index is 1 if all have the same, "
        "1/n if one has everything",
        ("recording", "clients", "fewest", "most", "Jain's index", "longest wait ms"),
        tuple(lines),
        numbers=frozenset({1, 2, 3, 4, 5}),
        code=True,
    )


def _claims(about: Sequence[Claim]) -> Table:
    return Table(
        "What was measured about waiting",
        ("claim", "database", "measured"),
        tuple((each.name, each.database, "; ".join(each.measured)) for each in about),
        code=True,
    )
