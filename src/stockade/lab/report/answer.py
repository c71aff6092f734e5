"""The answer in a minute: which control, in which order, and what was violated. Pure functions."""

from collections.abc import Sequence
from itertools import combinations
from typing import Final

from stockade.lab.claims.claim import FALSE, HOLDS, HOLDS_ONLY_WHEN
from stockade.lab.report.documents import Source
from stockade.lab.report.groups import Group, Row, broken_as_meant, compared, groups, ranking, rows, tied
from stockade.lab.report.numbers import ms
from stockade.lab.report.page import BAD, GOOD, MEANT, PLAIN, QUIET, Line, sentence
from stockade.lab.report.sections import ring, sweeps
from stockade.lab.report.sections.comparison import NAMES
from stockade.lab.reporting.verdict import AS_PROMISED

MOST_GROUPS: Final = 3  # that the answer speaks of; the sections have all
SHOWN_RANKS: Final = 4
VERDICTS: Final = {HOLDS: "hold", FALSE: "false", HOLDS_ONLY_WHEN: "hold only under a condition"}


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
        return [Line("Nothing is ranked", f"no strategy kept its promise; {group.what}.", BAD, "comparison")]
    first = ranked[0]
    even = tied(first, ranked)
    lead = f"{first.name} is the fastest"
    if even:
        lead = f"{sentence([each.name for each in (first, *even)])} are too close to call"
    load = f"{group.buyers} buyers of {group.stock} units ({group.preset}, {group.database}) have an answer"
    text = f"{ms(first.middle.value)} ms (median) until {load}; {len(ranked)} strategies kept their promise."
    later = [each for each in ranked if each is not first and each not in even]
    then = ", ".join(f"{each.name} {_times(each, first)}" for each in later[:SHOWN_RANKS])
    more = f", and {len(later) - SHOWN_RANKS} more" if len(later) > SHOWN_RANKS else ""
    follow = f" Then, in multiples of its time: {then}{more}." if then else ""
    return [Line(lead, text + follow, GOOD, "comparison")]


def _times(row: Row, first: Row) -> str:
    return f"{row.middle.value / first.middle.value:.1f}"


def _published(group: Group) -> list[Line]:
    shown = rows(group)
    ours = [row for row in shown if row.published is not None]
    if len(ours) < 2:
        return []
    theirs = sorted(ours, key=lambda row: row.published or 0)
    here = " < ".join(f"{_named(row)} {ms(row.middle.value)}" for row in ours)
    there = " < ".join(f"{_named(row)} {ms(row.published or 0)}" for row in theirs)
    pairs = list(combinations(theirs, 2))  # of each, the first one is faster by the report
    wrong = [pair for pair in pairs if pair[0].middle.low > pair[1].middle.high]
    close = [pair for pair in pairs if pair not in wrong and not pair[0].middle.apart(pair[1].middle)]
    lead = "The published order does not hold" if wrong else "The published order holds"
    text = f"published ms: {there}; here: {here}."
    if close:
        lead += "" if wrong else " as far as it can be told"
        text += f" Too close to call: {'; '.join(f'{_named(one)} and {_named(other)}' for one, other in close)}."
    decided = next((row for row in shown if row.run.log and not row.accepted), None)
    if decided:
        text += f" Kafka's time is until it accepted; its orders are decided after {ms(decided.middle.value)} ms."
    return [Line(lead, text, PLAIN, "comparison")]


def _named(row: Row) -> str:
    return NAMES.get(row.run.strategy, row.run.strategy)


def _violated(group: Group) -> list[Line]:
    meant = [run for run in group.runs if broken_as_meant(run)]
    bad = [run for run in group.runs if run.verdict != AS_PROMISED and run not in meant]
    lines = []
    if bad:
        said = sentence([f"{run.strategy} ({run.verdict})" for run in bad])
        lines.append(Line("A promise was broken", f"by {said}.", BAD, "comparison"))
    if meant:
        said = sentence([f"{run.strategy} accepted {run.accepted} of {run.stock}" for run in meant])
        text = f"{said}. So this load does show what the others prevent."
        lines.append(Line("Broken, as it must be", text, MEANT, "comparison"))
    else:
        lines.append(Line("No negative control failed", "so this load says nothing about safety.", QUIET, "comparison"))
    return lines


def _sweeps(sources: Sequence[Source]) -> list[Line]:
    found = []
    for source in sources:
        sweep = source.document.sweep if source.document else None
        if sweep is None:
            continue
        counting = sum(point.counts for point in sweep.points)
        turned = sweeps.flips(sweep)
        lead = "The order flips" if turned else "No order flips clearly"
        said = f"{'; '.join(turned)}. " if turned else ""
        found.append(Line(lead, f"{said}{counting} points of a sweep count.", PLAIN, "sweeps"))
    return found


def _faults(sources: Sequence[Source]) -> list[Line]:
    runs = [run for group in groups(sources) if group.fault for run in group.runs if not run.payments]
    if not runs:
        return []
    bad = [
        f"{run.strategy} under {run.fault}" for run in runs if run.verdict != AS_PROMISED and not broken_as_meant(run)
    ]
    if bad:
        return [Line("Under aimed faults a promise was broken", f"{sentence(bad)}.", BAD, "faults")]
    return [Line("Under aimed faults", f"{len(runs)} runs, no promise broken.", GOOD, "faults")]


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
        found.append(Line("Under random faults", f"{ring.sums(document)}{behind}", kind, "ring"))
    return found


def _deadlocks(sources: Sequence[Source]) -> list[Line]:
    found = []
    for source in sources:
        each = source.document.deadlock if source.document else None
        if each is None:
            continue
        bad = [one.name for one in each.experiments if not one.held]
        cured = [one for one in each.experiments if one.removed and one.figures.get("deadlocks") == 0]
        text = f"{len(each.experiments) - len(bad)} of {len(each.experiments)} experiments "
        text += "ended as they must"
        text += f"; not so: {sentence(bad)}." if bad else f"; {len(cured)} ways under load had none."
        found.append(Line(f"Deadlocks on {each.database}", text, BAD if bad else GOOD, "deadlock"))
    return found


def _claims(sources: Sequence[Source]) -> list[Line]:
    every = [each for source in sources if source.document for each in source.document.claims if not each.left_out]
    if not every:
        return []
    counts = {
        verdict: sum(each.verdict == verdict for each in every) for verdict in dict.fromkeys(e.verdict for e in every)
    }
    said = sentence([f"{count} {VERDICTS.get(verdict, verdict)}" for verdict, count in counts.items()])
    doubted = [each.name for each in every if each.as_expected is False]
    doubt = f" Not to be trusted: {sentence(doubted)}." if doubted else ""
    return [Line(f"{len(every)} claims of the reports", f"{said}.{doubt}", BAD if doubted else PLAIN, "claims")]


def _recordings(sources: Sequence[Source]) -> list[Line]:
    histories = [each.history for each in sources if each.history]
    if not histories:
        return []
    operations = sum(len(each.operations) for each in histories)
    many = "" if len(histories) == 1 else "s"
    return [Line("Over time", f"{len(histories)} recording{many} with {operations:,} operations.", PLAIN, "throughput")]
