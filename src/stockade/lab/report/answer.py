"""The answer in a minute: which control, in which order, and what was violated. Pure functions."""

from collections.abc import Sequence
from typing import Final

from stockade.lab.report.documents import Source
from stockade.lab.report.groups import Group, Row, broken_as_meant, compared, groups, ranking, rows, tied
from stockade.lab.report.numbers import ms
from stockade.lab.report.page import BAD, GOOD, MEANT, PLAIN, QUIET, Line, sentence
from stockade.lab.report.sections import ring, sweeps
from stockade.lab.report.sections.comparison import NAMES
from stockade.lab.reporting.verdict import AS_PROMISED

MOST_GROUPS: Final = 3  # that the answer speaks of; the sections have all
SHOWN_RANKS: Final = 4
ONE: Final = 1


def answer(sources: Sequence[Source]) -> list[Line]:
    """The lines, the most important first."""
    found: list[Line] = []
    for group in _most_telling(compared(sources)):
        found += [*_fastest(group), *_published(group), *_violated(group)]
    found += [*_sweeps(sources), *_faults(sources), *_rings(sources), *_deadlocks(sources), *_claims(sources)]
    found += _recordings(sources)
    return found


def _most_telling(all_groups: Sequence[Group]) -> list[Group]:
    """Those with figures of the report first, then those with the most strategies."""
    order = sorted(all_groups, key=lambda group: (not group.published, -len(group.runs)))
    return order[:MOST_GROUPS]


def _fastest(group: Group) -> list[Line]:
    ranked = ranking(group)
    if not ranked:
        return [Line(f"{group.what}: no strategy kept its promise, so nothing is ranked.", BAD, "comparison")]
    first = ranked[0]
    even = tied(first, ranked)
    name = first.name
    lead = f"Fastest of the {len(ranked)} that kept their promise: {name}, {ms(first.middle.value)} ms (median)"
    if len(ranked) == ONE:
        lead = f"The only one that kept its promise: {name}, {ms(first.middle.value)} ms (median)"
    if even:
        lead += f"; too close to call: {sentence([each.name for each in even])}"
    behind = [each for each in ranked if each is not first and each not in even]
    then = ", ".join(_behind(each, first) for each in behind[:SHOWN_RANKS])
    more = f", and {len(behind) - SHOWN_RANKS} more" if len(behind) > SHOWN_RANKS else ""
    follow = f" Then {then}{more}." if then else ""
    return [Line(f"{lead}. {group.what}.{follow}", GOOD, "comparison")]


def _behind(row: Row, first: Row) -> str:
    return f"{row.name} {ms(row.middle.value)} ms ({row.middle.value / first.middle.value:.1f} times)"


def _published(group: Group) -> list[Line]:
    ours = [row for row in rows(group) if row.published is not None]
    if len(ours) < 2:
        return []
    theirs = sorted(ours, key=lambda row: row.published or 0)
    here = " < ".join(f"{_named(row)} {ms(row.middle.value)}" for row in ours)
    there = " < ".join(f"{_named(row)} {ms(row.published or 0)}" for row in theirs)
    same = (
        "The same order as" if [each.name for each in ours] == [each.name for each in theirs] else "Another order than"
    )
    accepted = next((row for row in ours if row.accepted), None)
    decided = next((row for row in rows(group) if accepted and row.run is accepted.run and row is not accepted), None)
    apart = f" Kafka until it had accepted; decided after {ms(decided.middle.value)} ms." if decided else ""
    return [Line(f"{same} the report published (ms): {there}. Here: {here}.{apart}", PLAIN, "comparison")]


def _named(row: Row) -> str:
    return NAMES.get(row.run.strategy, row.run.strategy)


def _violated(group: Group) -> list[Line]:
    meant = [run for run in group.runs if broken_as_meant(run)]
    bad = [run for run in group.runs if run.verdict != AS_PROMISED and run not in meant]
    lines = []
    if bad:
        said = sentence([f"{run.strategy} ({run.verdict})" for run in bad])
        lines.append(Line(f"Broken promise: {said}.", BAD, "comparison"))
    if meant:
        said = sentence([f"{run.strategy} accepted {run.accepted} of {run.stock}" for run in meant])
        lines.append(
            Line(f"Negative control, broken as it must be: {said}. So this load shows a fault.", MEANT, "comparison")
        )
    else:
        lines.append(
            Line(
                "No negative control broke a rule here, so this load proves nothing about safety.", QUIET, "comparison"
            )
        )
    return lines


def _sweeps(sources: Sequence[Source]) -> list[Line]:
    found = []
    for source in sources:
        sweep = source.document.sweep if source.document else None
        if sweep is None:
            continue
        counting = sum(point.counts for point in sweep.points)
        turned = sweeps.flips(sweep)
        text = f"The fastest one changes {'; '.join(turned)}" if turned else "No order of two strategies flips clearly"
        found.append(Line(f"{text}. {counting} points of a sweep count.", PLAIN, "sweeps"))
    return found


def _faults(sources: Sequence[Source]) -> list[Line]:
    runs = [run for group in groups(sources) if group.fault for run in group.runs]
    if not runs:
        return []
    bad = [
        f"{run.strategy} under {run.fault}" for run in runs if run.verdict != AS_PROMISED and not broken_as_meant(run)
    ]
    if bad:
        return [Line(f"Under aimed faults a promise was broken: {sentence(bad)}.", BAD, "faults")]
    return [Line(f"Under aimed faults: {len(runs)} runs, no promise broken.", GOOD, "faults")]


def _rings(sources: Sequence[Source]) -> list[Line]:
    found = []
    for source in sources:
        document = source.document
        if not document or not document.cells:
            continue
        failed = ring.failures(document)
        kind = BAD if failed or document.controls_not_caught else GOOD
        missed = [f"not caught: {', '.join(document.controls_not_caught)}"] if document.controls_not_caught else []
        which = [f"{len(failed)} failed, first {failed[0].cell} ({failed[0].verdict})"] if failed else []
        behind = f" {'; '.join([*which, *missed])}." if which or missed else ""
        found.append(Line(f"Under random faults: {ring.sums(document)}{behind}", kind, "ring"))
    return found


def _deadlocks(sources: Sequence[Source]) -> list[Line]:
    found = []
    for source in sources:
        each = source.document.deadlock if source.document else None
        if each is None:
            continue
        bad = [one.name for one in each.experiments if not one.held]
        cured = [one for one in each.experiments if one.removed and one.figures.get("deadlocks") == 0]
        text = (
            f"Deadlocks on {each.database}: {len(each.experiments) - len(bad)} of {len(each.experiments)} experiments "
        )
        text += "ended as they must"
        text += f"; not so: {sentence(bad)}." if bad else f"; {len(cured)} ways under load had none."
        found.append(Line(text, BAD if bad else GOOD, "deadlock"))
    return found


def _claims(sources: Sequence[Source]) -> list[Line]:
    every = [each for source in sources if source.document for each in source.document.claims if not each.left_out]
    if not every:
        return []
    counts = {
        verdict: sum(each.verdict == verdict for each in every) for verdict in dict.fromkeys(e.verdict for e in every)
    }
    said = sentence([f"{count} {verdict}" for verdict, count in counts.items()])
    doubted = [each.name for each in every if each.as_expected is False]
    doubt = f" Not to be trusted: {sentence(doubted)}." if doubted else ""
    return [Line(f"Of {len(every)} claims of the reports: {said}.{doubt}", BAD if doubted else PLAIN, "claims")]


def _recordings(sources: Sequence[Source]) -> list[Line]:
    histories = [each.history for each in sources if each.history]
    if not histories:
        return []
    operations = sum(len(each.operations) for each in histories)
    return [Line(f"{len(histories)} recordings with {operations:,} operations over time.", PLAIN, "throughput")]
