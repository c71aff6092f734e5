"""Advice as sentences, and as JSON values. Pure functions. Neighbour: `advisor.py` has the advice."""

from collections.abc import Mapping, Sequence
from typing import Final

from stockade.core import JsonValue
from stockade.lab.advice.advisor import NO_LOAD, AxisAdvice, Choice, Flip, ResourceAdvice
from stockade.lab.advice.measurements import PAYMENT, Measurements
from stockade.lab.model.contender import Contender
from stockade.lab.sweeps.analysis.statistics import Interval, rounded
from stockade.lab.sweeps.analysis.summary import SHORT
from stockade.lab.sweeps.axes import AXES
from stockade.lab.targets.target_database import PRIVATE, SQLITE

MEASURE: Final = {
    "stock": "lab sweep",
    "points": "lab sweep --resource points",
    PAYMENT: "lab --preset payment-once,payment-lost-reply",
}


def lines_of(advice: Sequence[ResourceAdvice], measured: Measurements) -> list[str]:
    """All advice, resource after resource."""
    where = next((each.database for each in measured.loads if each.database != SQLITE), "")
    lines = [line for each in advice for line in ["", *_resource(each, where)]][1:]
    lines += [""] * bool(measured.violated)
    lines += [f"never advised: {name}: {why}" for name, why in measured.violated.items()]
    lines += [
        f"left out: {file}: {', '.join(dict.fromkeys(names))}: presets of another application"
        for file, names in measured.other_presets.items()
    ]
    lines += [
        f"unfinished: {file}: the sweep was interrupted; the same command goes on" for file in measured.unfinished
    ]
    return lines


def _resource(advice: ResourceAdvice, database: str) -> list[str]:
    """What is advised for a resource; of one that was not measured, how to do it where others were.

    Args:
        advice: for it.
        database: a server that some file measured; empty: none did.
    """
    if not advice.database:
        return [f"{advice.resource}: not measured; measure it with: {command(advice.resource, database)}"]
    lines = [f"{advice.resource} on {advice.database}"]
    for axis in advice.axes:
        lines += _axis(axis)
    for each in advice.bursts:
        lines.append(f"  {each.load.name}: {_choice(each)}")
    for why, axes in by_reason(advice.not_measured).items():
        how = f"; measure it with: {command(advice.resource, advice.database)}" if why == NO_LOAD else ""
        lines.append(f"  {', '.join(axes)}: not measured: {why}{how}")
    return lines


def command(resource: str, database: str, file: str = "FILE") -> str:
    """What measures a resource; along every axis, of stock and points.

    Args:
        resource: `stock`, `points` or `payment`.
        database: its dialect; empty: SQLite.
        file: for the document.
    """
    named = database if database in PRIVATE else "URL"
    option = f" --database {named}" if database not in ("", SQLITE) else ""
    return f"stockade {MEASURE[resource]}{option} --json {file}"


def by_reason(not_measured: Mapping[str, str]) -> dict[str, list[str]]:
    """The axes that have one reason, together."""
    found = dict[str, list[str]]()
    for axis, why in not_measured.items():
        found.setdefault(why, []).append(axis)
    return found


def _axis(found: AxisAdvice) -> list[str]:
    unit = AXES[found.axis].unit
    if not any(each.advised for each in found.choices):
        return []
    lines = [f"  {found.axis} ({unit})"]
    lines += [f"    {_value(each)}: {_choice(each)}" for each in found.choices]
    lines += [f"    flips {_flip(each, unit)}" for each in found.flips]
    if not found.flips:
        changes = len({each.name for each in found.choices if each.advised}) > 1
        how = "no flip that is clear" if changes else "flips nowhere"
        lines.append(f"    {how}{_where(found, unit)}")
    return lines


def _where(found: AxisAdvice, unit: str) -> str:
    """Between which values something is advised, and at which of those between nothing is."""
    known = [number for number, each in enumerate(found.choices) if each.advised]
    first, last = known[0], known[-1]
    if first == last:
        return f": only {_value(found.choices[first])} {unit} was measured"
    gaps = [_value(each) for each in found.choices[first:last] if not each.advised]
    but = f", but for {', '.join(gaps)}" if gaps else ""
    return f", from {_value(found.choices[first])} to {_value(found.choices[last])} {unit}{but}"


def _value(choice: Choice) -> str:
    return f"{choice.load.point.value:g}" if choice.load.point is not None else choice.load.name


def _choice(found: Choice) -> str:
    if found.advised is None:
        return f"not measured: {found.why_not}"
    rate, text = found.advised.rate, found.name
    text += f", {rate.median:,.0f} decided/s ({rate.low:,.0f}-{rate.high:,.0f})"
    if found.second is not None and found.margin is not None:
        text += f", {_ratio(found.margin)} times {found.second.contender.name}"
    if found.others:
        names = ", ".join(each.contender.name for each in found.others)
        text += f"; not clear against {names}"
    return "; ".join([text, *([found.why_not] if found.why_not else []), *conditions(found)])


def conditions(found: Choice) -> list[str]:
    """What must be so for the advice to hold."""
    if found.advised is None:
        return []
    result, failed = found.advised.result, found.advised.failed_share
    needed = needs_of(found.advised.contender)
    if failed:
        needed.append(f"{failed:.1%} of all orders got no decision")
    if result is not None and result.short.times:
        needed.append(f"{SHORT} in {result.short}, which are left out")
    return needed


def needs_of(contender: Contender) -> list[str]:
    """What a strategy needs under any load: how many processes may take orders, and other servers."""
    guarantees = contender.guarantees
    alone = ["only while one process takes orders"] if guarantees.processes == "one" else []
    return [*alone, *(f"needs {need}" for need in guarantees.needs)]


def _ratio(found: Interval) -> str:
    return f"{found.median:.2f} ({found.low:.2f}-{found.high:.2f})"


def _flip(found: Flip, unit: str) -> str:
    at = f", about {found.at:.3g}" if found.at is not None else ""
    return f"between {found.low:g} and {found.high:g} {unit}{at}: {found.before} below, {found.after} above"


def as_json(advice: Sequence[ResourceAdvice]) -> list[JsonValue]:
    """The member `advice` of the document."""
    return [
        {
            "resource": each.resource,
            "database": each.database,
            "measured": bool(each.database),
            "axes": [_axis_json(axis) for axis in each.axes],
            "bursts": [_choice_json(choice) for choice in each.bursts],
            "not_measured": dict(each.not_measured),
            "excluded": dict(each.excluded),
        }
        for each in advice
    ]


def _axis_json(found: AxisAdvice) -> dict[str, JsonValue]:
    flips: list[JsonValue] = [
        {
            "interval": [each.low, each.high],
            "at": None if each.at is None else rounded(each.at),
            "before": each.before,
            "after": each.after,
        }
        for each in found.flips
    ]
    return {"axis": found.axis, "choices": [_choice_json(each) for each in found.choices], "flips": flips}


def _choice_json(found: Choice) -> dict[str, JsonValue]:
    return {
        "file": found.load.file,
        "load": found.load.name,
        "value": None if found.load.point is None else found.load.point.value,
        "advised": found.name,
        "decided_s": None if found.advised is None else found.advised.rate.as_json(),
        "second": "" if found.second is None else found.second.contender.name,
        "margin": None if found.margin is None else found.margin.as_json(),
        "not_clear": [each.contender.name for each in found.others],
        "conditions": list(conditions(found)),
        "why_not": found.why_not,
    }
