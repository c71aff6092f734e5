"""What a run shows. A strategy that broke no rule shows something only where a negative control beside it broke one.

A control that broke nothing was lucky: it is neither ranked nor called good. Neighbours: `groups.py` ranks,
`lab/reporting/verdict.py` judges a run when it is made, `sections/throughput.py` asks about recordings.
"""

from collections.abc import Iterable
from typing import Final

from stockade.core import Guarantees
from stockade.lab.checkers import CHECKERS, DATA_RULES
from stockade.lab.errors import LabError
from stockade.lab.faults import FAULTS
from stockade.lab.history.history import History
from stockade.lab.model.contender import Contender
from stockade.lab.model.preset import Variant
from stockade.lab.presets import presets
from stockade.lab.recording.fault import claims
from stockade.lab.report.documents import Run
from stockade.lab.report.page import BAD, GOOD, MEANT, QUIET, Cell
from stockade.lab.reporting.verdict import AS_PROMISED, BROKEN, holds
from stockade.lab.runs.payment_repeats import guarantees_of

NO_PROOF: Final = frozenset(CHECKERS) - DATA_RULES  # rules that say nothing about control over shared rows


def variants(preset: str) -> list[Variant]:
    """The variants of a preset of the shop by its name in documents; none for one of another application."""
    found = presets().get(preset.partition(":")[0])
    return [each for each in found.variants if found.variant_name(each) == preset] if found else []


def promises(run: Run) -> bool:
    """Whether the strategy of a run promises to break no rule in it; not so if this version does not know it."""
    found = _contender(run.strategy)
    return found is not None and found.form != "bare" and not found.scheme and holds(*_asked(found, run))


def kept(run: Run) -> bool:
    """Whether a run kept a promise: luck is no promise."""
    return promises(run) and run.verdict == AS_PROMISED and not run.violations


def broken_as_meant(run: Run) -> bool:
    """Whether a run broke a rule where its strategy does not claim to keep it: a negative control."""
    found = _contender(run.strategy)
    return run.verdict == BROKEN and found is not None and not holds(*_asked(found, run))


def shown(runs: Iterable[Run]) -> bool:
    """Whether a negative control of these runs broke a rule about what was sold or paid: the others show something."""
    return any(broken_as_meant(run) and any(each.rule not in NO_PROOF for each in run.violations) for run in runs)


def verdict_cell(run: Run, *, proof: bool) -> Cell:
    """The verdict of a run, with its kind.

    Args:
        run: any.
        proof: whether a negative control beside it failed, see `shown`.
    """
    if broken_as_meant(run):
        return Cell("broken, as meant", MEANT)
    if run.verdict != AS_PROMISED or run.violations:
        return Cell(run.verdict if run.verdict != AS_PROMISED else BROKEN, BAD)
    if not promises(run):
        return Cell("broke nothing, promises nothing", QUIET)
    return Cell(run.verdict, GOOD) if proof else Cell(f"{run.verdict}, not shown", QUIET)


def claims_of(history: History) -> bool:
    """Whether the strategy of a recording claims to break no rule in it; not so if this version does not know it."""
    found = _contender(history.strategy)
    faults = [FAULTS[name] for name in history.faults if name in FAULTS]
    if found is None or found.form == "bare" or len(faults) < len(history.faults):
        return False
    processes = history.settings.get("processes")
    return claims(found, faults, processes if isinstance(processes, int) else 1)


def proves(rules: Iterable[str]) -> bool:
    """Whether a control that broke these rules of the checkers was caught: that it was slow proves nothing."""
    return not DATA_RULES.isdisjoint(rules)


def _contender(name: str) -> Contender | None:
    try:
        return Contender.parse(name)
    except LabError:  # of another application, or of another version: nothing is known of it
        return None


def _asked(contender: Contender, run: Run) -> tuple[Guarantees, str, int]:
    """What it promises in this preset, and under what."""
    for variant in variants(run.preset):
        if variant.payment is None or run.fault in variant.payment.must_break:
            return guarantees_of(variant, contender, run.fault), run.fault, run.processes
    return contender.guarantees, run.fault, run.processes
