"""What the files say: rates of strategies under one load, and which strategies did not keep a claim anywhere.

A sweep gives a load for each of its points. A document of `stockade lab` gives one for each preset: what its buyers
share says about which resource it is. A document of `stockade lab ring` gives none, but strategies that broke a claim;
those of the other commands say nothing here. Neighbours: `advisor.py` draws the conclusions.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stockade.lab.errors import LabError
from stockade.lab.model.burst import RepeatNames
from stockade.lab.model.contender import Contender
from stockade.lab.model.preset import Variant
from stockade.lab.presets import find, presets
from stockade.lab.reporting.verdict import AS_PROMISED, holds
from stockade.lab.sweeps.analysis.crossovers import compare
from stockade.lab.sweeps.analysis.statistics import Interval, interval
from stockade.lab.sweeps.analysis.summary import LOST_OR_OVERSOLD, NOT_FAILED, PointResult
from stockade.lab.sweeps.axes import POINTS, STOCK, Point
from stockade.lab.sweeps.reading import read_sweep

PAYMENT: Final = "payment"
RESOURCES: Final = (STOCK, POINTS, PAYMENT)
# what a negative control breaks only where orders met; an error, for example, comes without that
MEETING_RULES: Final = LOST_OR_OVERSOLD | {
    "exactly-once",
    "one-approval",
    "charged-not-recorded",
    "recorded-not-charged",
    "connection-held",  # judged in the preset that is about it only
}
VIOLATED: Final = "VIOLATED"  # a verdict of a ring
MADE_BY: Final = {  # the word whose document has a member, of those without measurements
    "matrix": "lab ring",
    "deadlock": "lab deadlock",
    "claims": "lab claims",
    "history": "lab judge",
    "advice": "lab advise",
}
WHERE: Final = (
    "Measurements are in documents of `stockade lab --json FILE` and `stockade lab sweep --json FILE`; "
    "make one with: stockade lab sweep --json sweep.json"
)


@dataclass(frozen=True, slots=True)
class Rate:
    """A strategy under one load.

    Attributes:
        contender: who.
        rate: orders decided in a second.
        failed_share: orders without a decision, of all its orders.
        result: of a sweep; None: of a burst, which was not played in turn with the others.
    """

    contender: Contender
    rate: Interval
    failed_share: float
    result: PointResult | None = None

    def ratio(self, other: "Rate") -> Interval | None:
        """How many times as fast as another one; None: there is no round of both."""
        if self.result is not None and other.result is not None:
            return compare(self.result, other.result)
        ours, theirs = self.rate, other.rate
        if not theirs.low or not theirs.median:
            return None
        # apart from each other: as wide as both intervals together, which is too wide rather than too narrow
        together = ours.coverage * theirs.coverage
        count = min(ours.samples, theirs.samples)
        return Interval(ours.median / theirs.median, ours.low / theirs.high, ours.high / theirs.low, together, count)


@dataclass(frozen=True, slots=True)
class Load:
    """One load, and who stood it.

    Attributes:
        file: where it is from.
        resource: `stock`, `points` or `payment`.
        database: its dialect.
        name: of the load, e.g. `buyers=30` or `payment-once`.
        point: of a sweep; None: a burst of a preset.
        rates: of the strategies that count.
        not_counted: of the others: the reason, by strategy.
        buyers: that order together.
    """

    file: str
    resource: str
    database: str
    name: str
    point: Point | None
    rates: tuple[Rate, ...]
    not_counted: Mapping[str, str]
    buyers: int = 0


@dataclass(slots=True)
class Measurements:
    """What all files say together.

    Attributes:
        loads: in the order of the files.
        violated: strategies that did not keep a claim, and where.
        complexity: by strategy, of sweeps.
        left_out: by file what its sweep did not play, with the reason.
        unfinished: files of sweeps that were interrupted.
        other_presets: by file the presets of other applications: nothing is known of their rows.
    """

    loads: list[Load] = field(default_factory=list)
    violated: dict[str, str] = field(default_factory=dict)
    complexity: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    left_out: dict[str, Mapping[str, str]] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    other_presets: dict[str, list[str]] = field(default_factory=dict)


def read_measurements(files: Sequence[str]) -> Measurements:
    """Read documents of sweeps, of bursts and of rings.

    Raises:
        LabError: a file cannot be read, or is no such document, or none of them holds measurements.
    """
    found, empty = Measurements(), list[str]()
    for file in files:
        if file.endswith(".jsonl"):
            raise LabError(f"{file}: a history of `stockade lab record` holds no measurements. {WHERE}")
        try:
            document = json.loads(Path(file).read_text(encoding="utf-8"))
            known = add(file, document, found)
        except OSError as error:
            raise LabError(f"{file}: {error.strerror}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise LabError(f"{file}: is no document of the lab that can be read ({error})") from None
        if not known:
            raise LabError(f"{file}: {_what(document)}. {WHERE}")
        if not any(each.file == file for each in found.loads):
            empty.append(f"{file}: {_what(document)}")
    if not found.loads:
        raise LabError(f"{'; '.join(empty)}. {WHERE}, and name it beside the others")
    return found


def _what(document: Any) -> str:
    """Why there are no measurements in a document."""
    made_by = next((word for member, word in MADE_BY.items() if member in document), "")
    if "sweep" in document:
        return "a sweep of which no turn was played"
    if "runs" in document:
        faulty = any(run.get("fault") for run in document["runs"])
        return "runs under faults, which say what broke" if faulty else "runs of presets of another application"
    return f"a document of `stockade {made_by}` holds no measurements" if made_by else "is no document of the lab"


def add(file: str, document: Any, found: Measurements) -> bool:
    """Add what a document says; whether it says anything.

    Args:
        file: its name.
        document: its values.
        found: gets it.
    """
    known = [_READERS[member] for member in _READERS if member in document]
    for read in known:
        read(file, document, found)
    return bool(known)


def _read_sweep(file: str, document: Any, found: Measurements) -> None:
    sweep = read_sweep(document)
    results = sweep.results
    for result in results:
        if result.claim_violated:
            found.violated.setdefault(result.contender.name, f"{result.why_not} at {result.point.id} ({file})")
    resource, database = str(sweep.settings["resource"]), str(sweep.settings["database"])
    for point in sweep.points.values():
        there = [each for each in results if each.point.id == point.id]
        rates = tuple(
            Rate(each.contender, rate, each.failed_share, each)
            for each in there
            if each.counts and (rate := each.figure("decided_s")) is not None
        )
        missing = {each.contender.name: each.why_not for each in there if not each.counts}
        found.loads.append(Load(file, resource, database, point.id, point, rates, missing, point.setting.buyers))
    found.complexity.update(sweep.complexity)
    found.left_out[file] = sweep.left_out
    if not sweep.complete:
        found.unfinished.append(file)


def _read_bursts(file: str, document: Any, found: Measurements) -> None:
    groups: defaultdict[tuple[str, str, int, int, int], list[Any]] = defaultdict(list)
    for run in document["runs"]:
        if not _is_of_shop(run):
            found.other_presets.setdefault(file, []).append(str(run["preset"]))
        elif not run.get("fault"):
            load = (str(run["preset"]), str(run["database"]), int(run["processes"]))
            groups[*load, int(run["buyers"]), int(run["stock"])].append(run)
        _note_violation(file, run, found)
    for (preset, database, *numbers), runs in groups.items():
        # a control is what the lab requires to be broken here: it was, or the load says nothing
        failed = any(_is_control(run) and not MEETING_RULES.isdisjoint(_rules(run)) for run in runs)
        rates, missing = list[Rate](), dict[str, str]()
        for run in runs:
            if why := _why_not(run, failed):
                missing[str(run["strategy"])] = why
            else:
                rates.append(Rate(Contender.parse(str(run["strategy"])), _rate(run), _failed_share(run)))
        name, resource = _name(preset, *numbers), _resource(preset)
        found.loads.append(Load(file, resource, database, name, None, tuple(rates), missing, numbers[1]))


def _name(preset: str, processes: int, buyers: int, stock: int) -> str:
    """Of the load of a burst, with what is not as usual in the preset."""
    variant = _variant(preset)
    what = "" if (buyers, stock) == (variant.buyers, variant.stock) else f" with {buyers} buyers, {stock} in stock"
    return preset + what + ("" if processes == 1 else f" in {processes} processes")


def _note_violation(file: str, run: Any, found: Measurements) -> None:
    """A strategy that the lab found not to do what it promises."""
    contender, fault = Contender.parse(str(run["strategy"])), str(run.get("fault", ""))
    claims = not _is_control(run) and holds(contender.guarantees, fault, int(run["processes"]))
    if not claims or run["verdict"] == AS_PROMISED:
        return
    rules = ", ".join(_rules(run))
    if not rules and not (_is_of_shop(run) and _variant(str(run["preset"])).deadlocks != "some"):
        return  # perhaps only the deadlock that was wanted did not come
    what = f"broke a rule: {rules}" if rules else f"was {run['verdict']}"
    under = f" under {fault}" if fault else ""
    found.violated.setdefault(contender.name, f"{what} at {run['preset']}{under} ({file})")


def _is_of_shop(run: Any) -> bool:
    """Whether it is of a preset of the shop, and not of another application."""
    return str(run["preset"]).partition(":")[0] in presets()


def _rules(run: Any) -> list[str]:
    return list(dict.fromkeys(str(each["rule"]) for each in run["violations"]))


def _is_control(run: Any) -> bool:
    contender = Contender.parse(str(run["strategy"]))
    guarantees = contender.guarantees
    alone = guarantees.processes == "one" and int(run["processes"]) > 1
    return bool(contender.scheme) or guarantees.may_oversell or contender.form == "bare" or alone


def _why_not(run: Any, control_failed: bool) -> str:
    if _is_control(run):
        return "negative control"
    if run["violations"] or run["verdict"] != AS_PROMISED:
        return f"was {run['verdict']}"
    return "" if control_failed else NOT_FAILED


def _rate(run: Any) -> Interval:
    """Orders decided in a second; of a preset that pays the orders that were paid."""
    paid = run.get("payments")
    decided = int(run["accepted"]) if paid else int(run["accepted"]) + int(run["rejected"])
    return interval([decided / float(ms) * 1e3 for ms in run["wall_ms"]["samples"]])


def _variant(preset: str) -> Variant:
    (_, variant), *_ = find(preset)
    return variant


def _failed_share(run: Any) -> float:
    failed = int(run["failed"])
    return failed / max(1, failed + int(run["accepted"]) + int(run["rejected"]))


def _resource(preset: str) -> str:
    """What the buyers of a preset share: the kind of the rows whose amount is checked."""
    variant = _variant(preset)
    if variant.payment is not None:
        return PAYMENT
    workload = variant.workload(RepeatNames("advice", 0, variant.buyers, variant.stock, 0))
    return workload.counted_rows[0].kind


def _read_ring(file: str, document: Any, found: Measurements) -> None:
    for each in document["matrix"]:
        if each["verdict"] == VIOLATED:
            name = Contender.parse(str(each["strategy"])).name
            found.violated.setdefault(name, f"broke a rule under {each['fault'] or 'no fault'} ({file})")


def rates_of(loads: Sequence[Load], violated: Mapping[str, str]) -> Iterator[tuple[Load, list[Rate]]]:
    """The strategies of each load that may be advised, the fastest first.

    Args:
        loads: of one resource and database.
        violated: strategies that broke a claim anywhere: their figures say nothing about a right answer.
    """
    for load in loads:
        allowed = [each for each in load.rates if each.contender.name not in violated and each.rate.median > 0]
        yield load, sorted(allowed, key=lambda each: -each.rate.median)


_READERS: Final = {"sweep": _read_sweep, "runs": _read_bursts, "matrix": _read_ring}
