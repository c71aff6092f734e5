"""Lines of the answer about sweeps, rings, deadlocks, claims and recordings. Neighbour: `answer.py` has the others."""

from collections.abc import Sequence
from typing import Final

from stockade.lab.checkers.exposure import not_exposed
from stockade.lab.claims.claim import FALSE, HOLDS, HOLDS_ONLY_WHEN
from stockade.lab.report.documents import Document, Source
from stockade.lab.report.page import BAD, GOOD, MEANT, PLAIN, QUIET, Line, sentence
from stockade.lab.report.proof import claims_of, proves
from stockade.lab.report.recordings import label
from stockade.lab.report.sections import ring, sweeps
from stockade.lab.report.swept import Sweep
from stockade.lab.ring.expectation import AS_CLAIMED, BROKEN_AS_CLAIMED, HELD, MUST_BREAK

VERDICTS: Final = {HOLDS: "hold", FALSE: "false", HOLDS_ONLY_WHEN: "hold only under a condition"}


def swept(sources: Sequence[Source]) -> list[Line]:
    """What each sweep broke, and where an order flips."""
    return [line for source in sources if source.sweep for line in _of_sweep(source.sweep)]


def _of_sweep(sweep: Sweep) -> list[Line]:
    lines = []
    if sweep.violated:
        said = sentence([f"{each.strategy} at {each.result.point.id}" for each in sweep.violated])
        lines.append(Line("In a sweep a claim was broken", f"by {said}.", BAD, "sweeps"))
    judged = [point for point in sweep.points if not point.result.is_control]
    text = f"{sum(point.counts for point in judged)} of {len(judged)} points of strategies in a sweep count."
    text += "" if sweep.complete else " It was interrupted: some are missing."
    turned = sweeps.flips(sweep)
    if turned:
        return [*lines, Line("The order flips", f"{'; '.join(turned)}. {text}", PLAIN, "sweeps")]
    said = sweeps.unturned(sweep.crossovers)
    lead = "No order flips" if said else "No order was compared"
    return [*lines, Line(lead, f"{said} {text}".lstrip(), PLAIN if said else QUIET, "sweeps")]


def rings(sources: Sequence[Source]) -> list[Line]:
    """What became of the claims of each ring and soak."""
    return [_ring(source.document) for source in sources if source.document and source.document.cells]


def _ring(document: Document) -> Line:
    failed, missed = ring.failures(document), document.controls_not_caught
    behind = [f"{len(failed)} failed, first {failed[0].cell} ({failed[0].verdict})"] if failed else []
    behind += [f"not caught: {', '.join(missed)}"] if missed else []
    behind += [f"{len(document.not_exposed)} said nothing: a fault did not act"] if document.not_exposed else []
    kept = any(each.expected == HELD and each.verdict == AS_CLAIMED for each in document.cells)
    caught = any(each.expected == MUST_BREAK and each.verdict == BROKEN_AS_CLAIMED for each in document.cells)
    behind += [] if caught else ["no negative control was caught, so it shows little"]
    kind = GOOD if kept and caught and document.complete and not document.not_exposed else QUIET
    said = f" {'; '.join(behind)}." if behind else ""
    return Line("Under random faults", f"{ring.sums(document)}{said}", BAD if failed or missed else kind, "ring")


def deadlocks(sources: Sequence[Source]) -> list[Line]:
    """How many experiments ended as they must; good only if a control deadlocked."""
    found = []
    for source in sources:
        each = source.document.deadlock if source.document else None
        if each is None:
            continue
        bad = [one.name for one in each.experiments if not one.held]
        cured = [one for one in each.experiments if one.removed and one.figures.get("deadlocks") == 0]
        control = any(one.held and not one.removed for one in each.experiments)
        text = f"{len(each.experiments) - len(bad)} of {len(each.experiments)} experiments ended as they must"
        text += f"; not so: {sentence(bad)}." if bad else f"; {len(cured)} ways under load had none."
        text += "" if control else " No control deadlocked, so this shows nothing."
        text += f" {len(each.left_out)} were not played." if each.left_out else ""
        kind = GOOD if control else QUIET
        found.append(Line(f"Deadlocks on {each.database}", text, BAD if bad else kind, "deadlock"))
    return found


def claims(sources: Sequence[Source]) -> list[Line]:
    """How many claims of the reports hold."""
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


def recordings(sources: Sequence[Source]) -> list[Line]:
    """What the checkers found in each recording, and what was not judged; never good, because none ranks another."""
    found = [(each, each.history) for each in sources if each.history]
    histories = [history for _, history in found]
    if not found:
        return []
    broken = [(each, history) for each, history in found if each.violations]
    bad = [(each, history) for each, history in broken if claims_of(history)]
    lines = []
    if bad:
        said = sentence([f"{label(history, histories)} ({_rules(each)})" for each, history in bad])
        lines.append(Line("In a recording a claim was broken", f"{said}.", BAD, "throughput"))
    meant = [(each, history) for each, history in broken if not claims_of(history)]
    if meant:
        said = sentence([f"{label(history, histories)} ({_rules(each)})" for each, history in meant])
        lines.append(Line("Recordings that claim nothing broke rules", f"{said}.", MEANT, "throughput"))
    operations = sum(len(history.operations) for history in histories)
    many = "" if len(found) == 1 else "s"
    text = f"{len(found)} recording{many} with {operations:,} operations; {len(bad)} broke a claim."
    if unjudged := [label(history, histories) for each, history in found if each.violations is None]:
        text += f" Not judged here, too many operations: {sentence(unjudged)}."
    if missed := [label(each, histories) for each in histories if not_exposed(each)]:
        text += f" Shows nothing, a fault did not act: {sentence(missed)}."
    if not any(proves(v.rule for v in each.violations or ()) for each, _ in meant):
        text += " No recording of a negative control was caught beside, so what broke nothing shows little."
    return [*lines, Line("Over time", text, PLAIN, "throughput")]


def _rules(source: Source) -> str:
    return ", ".join(dict.fromkeys(each.rule for each in source.violations or ()))
