"""The answer in a minute: which control, in which order, and what was violated. Pure functions.

Nothing here is called good that was not shown: where no negative control failed, the answer says so. Neighbours:
`proof.py` says what a run shows, `verdicts.py` has the lines about rings, recordings and claims.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Final

from stockade.lab.advice.advisor import LEAST_ROUNDS
from stockade.lab.report.advised import advised
from stockade.lab.report.documents import Run, Source
from stockade.lab.report.groups import Group, Row, compared, groups, ranking, rows, tied
from stockade.lab.report.numbers import apart, ms, trusted
from stockade.lab.report.page import BAD, GOOD, MEANT, PLAIN, QUIET, Line, sentence
from stockade.lab.report.proof import broken_as_meant, kept, promises
from stockade.lab.report.sections.comparison import NAMES
from stockade.lab.report.verdicts import claims, deadlocks, recordings, rings, swept
from stockade.lab.reporting.verdict import AS_PROMISED

MOST_GROUPS: Final = 3  # that the answer speaks of; the sections have all
SHOWN_RANKS: Final = 4
NO_PROOF: Final = "no negative control failed"


def answer(sources: Sequence[Source]) -> list[Line]:
    """The lines, the most important first."""
    found = advised(sources)
    every = _most_telling(compared(sources))
    for number, group in enumerate(every):
        if number < MOST_GROUPS:
            found += [*_fastest(group), *_published(group)]
        found += _violated(group, brief=number >= MOST_GROUPS, several=len(every) > 1)
    paying = [each for each in groups(sources) if any(run.payments for run in each.runs)]
    hurt = [each for each in groups(sources) if each.fault and each not in paying]
    found += [*swept(sources), *_together("In payments", paying, "payments")]
    found += [*_together("Under aimed faults", hurt, "faults"), *rings(sources), *deadlocks(sources), *claims(sources)]
    return [*found, *recordings(sources)]


def _most_telling(all_groups: Sequence[Group]) -> list[Group]:
    """Those with figures of the report first, then those with the most strategies."""
    return sorted(all_groups, key=lambda group: (not group.published, -len(group.runs)))


def _fastest(group: Group) -> list[Line]:
    ranked = ranking(group)
    if not ranked:
        return [Line("Nothing is ranked", f"no strategy kept its promise; {group.what}.", BAD, "comparison")]
    first = ranked[0]
    even = tied(first, ranked)
    lead = f"{first.name} is the fastest"
    if len(ranked) == 1:
        lead = f"{first.name} alone kept its promise"
    if even:
        lead = f"{sentence([each.name for each in (first, *even)])} are too close to call"
    load = f"{group.buyers} buyers of {group.stock} units ({group.preset}, {group.database}) have an answer"
    promising = sum(promises(run) for run in group.runs)  # a negative control has no promise to keep
    judged = f"{len(ranked)} of {promising} strategies that promise something kept it"
    said = judged if group.proof else f"{len(ranked)} broke no rule, which shows nothing: {NO_PROOF}"
    text = f"{ms(first.middle.median)} ms (median) until {load}; {said}."
    later = [each for each in ranked if each is not first and each not in even]
    then = ", ".join(f"{each.name} {_times(each, first)}" for each in later[:SHOWN_RANKS])
    more = f", and {len(later) - SHOWN_RANKS} more" if len(later) > SHOWN_RANKS else ""
    follow = f" Then, in multiples of its time: {then}{more}." if then else ""
    if not trusted(first.middle):
        text += f" Too few repeats ({len(first.samples)} of {LEAST_ROUNDS}): nothing can be decided; use --repeats 7."
    return [Line(lead, text + follow, GOOD if group.proof else QUIET, "comparison")]


def _times(row: Row, first: Row) -> str:
    return f"{row.middle.median / first.middle.median:.1f}"


def _published(group: Group) -> list[Line]:
    """The order of the report against ours, of the strategies that kept their promise: a wrong answer has no time."""
    shown = rows(group)
    there = [row for row in shown if row.published is not None]
    ours = [row for row in there if kept(row.run)]
    out = sentence([_named(row) for row in there if row not in ours])
    left = f" Not compared, because it kept no promise here: {out}." if out else ""
    if len(ours) < 2:
        return [Line("The published order is not judged", left.strip(), QUIET, "comparison")] if out else []
    theirs = sorted(ours, key=lambda row: row.published or 0)
    here = " < ".join(f"{_named(row)} {ms(row.middle.median)}" for row in ours)
    said = " < ".join(f"{_named(row)} {ms(row.published or 0)}" for row in theirs)
    text = f"published ms: {said}; here: {here}."
    lead, close = _order(list(combinations(theirs, 2)))  # of each, the first one is faster by the report
    if close:
        text += f" Too close to call: {'; '.join(f'{_named(one)} and {_named(other)}' for one, other in close)}."
    decided = next((row for row in shown if row.run.log and not row.accepted), None)
    if decided:
        text += f" Kafka's time is until it accepted; its orders are decided after {ms(decided.middle.median)} ms."
    return [Line(lead, text + left, PLAIN if group.proof else QUIET, "comparison")]


def _order(pairs: Sequence[tuple[Row, Row]]) -> tuple[str, list[tuple[Row, Row]]]:
    """What can be said of an order, and the pairs that are too close."""
    close = [pair for pair in pairs if not apart(pair[0].middle, pair[1].middle)]
    if any(pair[0].middle.median > pair[1].middle.median for pair in pairs if pair not in close):
        return "The published order does not hold", close
    if len(close) == len(pairs):
        return "Whether the published order holds cannot be told", close
    return f"The published order holds{' as far as it can be seen' if close else ''}", close


def _named(row: Row) -> str:
    return NAMES.get(row.run.strategy, row.run.strategy)


def _bad(runs: Sequence[Run]) -> list[Run]:
    """Those that broke a promise."""
    return [run for run in runs if (run.verdict != AS_PROMISED or run.violations) and not broken_as_meant(run)]


def _violated(group: Group, *, brief: bool, several: bool) -> list[Line]:
    """What was broken in a group; of one that is no more spoken of, only promises."""
    where = f" {group.what}." if several else ""
    lines = []
    if bad := _bad(group.runs):
        said = sentence([f"{run.strategy} ({run.verdict})" for run in bad])
        lines.append(Line("A promise was broken", f"by {said}.{where}", BAD, "comparison"))
    if brief:
        return lines
    meant = [run for run in group.runs if broken_as_meant(run)]
    if group.proof:
        said = sentence([f"{run.strategy} accepted {run.accepted} of {run.stock}" for run in meant])
        text = f"{said}. So this load does show what the others prevent.{where}"
        lines.append(Line("Broken, as it must be", text, MEANT, "comparison"))
    else:
        only = f"{sentence([run.strategy for run in meant])} broke only rules that prove nothing, " if meant else ""
        text = f"{only}so this load says nothing about safety.{where}"
        lines.append(Line("No negative control failed", text, QUIET, "comparison"))
    return lines


def _together(lead: str, found: Sequence[Group], section: str) -> list[Line]:
    """Groups that are not ranked, in a line: good only if a negative control failed in each of them."""
    runs = [run for group in found for run in group.runs]
    if not runs:
        return []
    lines = []
    if bad := _bad(runs):
        said = sentence([f"{run.strategy} in {_place(run)} ({run.verdict})" for run in bad])
        lines.append(Line(f"{lead} a promise was broken", f"{said}.", BAD, section))
    unproved = [group for group in found if not group.proof]
    if unproved:
        where = sentence(list(dict.fromkeys(_place(group.runs[0]) for group in unproved)))
        lead = f"{lead} nothing was shown" if len(unproved) == len(found) else f"{lead} not everything was shown"
        lines.append(Line(lead, f"{len(runs)} runs; {NO_PROOF} in {where}.", QUIET, section))
    elif not bad:
        text = f"{len(runs)} runs, no promise broken; a negative control failed under each load."
        lines.append(Line(lead, text, GOOD, section))
    return lines


def _place(run: Run) -> str:
    return f"{run.preset} under {run.fault}" if run.fault else run.preset
