"""Which control to take: the advice of `stockade lab advise` as lines of the answer. Pure functions.

Neighbours: `lab/advice` decides, `answer.py` puts these lines first.
"""

from collections.abc import Collection, Sequence
from itertools import combinations, pairwise
from typing import Final

from stockade.lab.advice.advisor import LEAST_ROUNDS, NO_LOAD, AxisAdvice, Choice, ResourceAdvice, advise
from stockade.lab.advice.lines import by_reason, command, conditions, needs_of
from stockade.lab.advice.measurements import Measurements, add
from stockade.lab.errors import LabError
from stockade.lab.report.documents import Source
from stockade.lab.report.numbers import few
from stockade.lab.report.page import BAD, GOOD, PLAIN, QUIET, Line, sentence
from stockade.lab.report.sections import controls
from stockade.lab.sweeps.axes import AXES

MOST_NAMED: Final = 3  # conditions, loads or contradictions that are told one by one
NEAR: Final = 1.5  # two numbers of buyers that differ by no more are one load
ROUNDS: Final = "--repeats 7"


def advised(sources: Sequence[Source]) -> list[Line]:
    """What to take for each resource, what the documents do not agree about, and what cannot be said."""
    measured, lines = Measurements(), list[Line]()
    for source in sources:
        try:
            add(source.name, source.values, measured)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, LabError) as error:
            lines.append(Line("Nothing is advised", f"from {source.name}: it cannot be read so ({error}).", QUIET))
    found = [each for each in advise(measured) if each.database]
    resources = [line for each in found for line in _resource(each)]
    resources += _meanings(found)
    never = [Line(f"Do not take {name}", f"It {why}.", BAD) for name, why in measured.violated.items()]
    return [*resources, *(line for each in found for line in _contradictions(each)), *never, *lines]


def _resource(found: ResourceAdvice) -> list[Line]:
    whole = [axis for axis in found.axes if any(each.advised for each in axis.choices)]
    names = {each.name for axis in whole for each in axis.choices if each.advised}
    if len(whole) > 1 and len(names) == 1 and not any(axis.flips for axis in whole):
        lines = [_everywhere(found, whole)]
    else:
        lines = [_axis(found, axis) for axis in whole]
    undecided = [axis for axis in found.axes if axis not in whole]
    lines += _undecided(found, undecided)
    lines += [line for each in found.bursts for line in _burst(found, each)]
    named = {axis.axis for axis in undecided}
    return [*lines, *_other_conditions(found), *_absent(found, named)]


def _meanings(found: Sequence[ResourceAdvice]) -> list[Line]:
    """What each control does that is advised."""
    said = dict[str, str]()
    for each in found:
        choices = [*each.bursts, *(choice for axis in each.axes for choice in axis.choices)]
        for choice in choices:
            if meaning := controls.meaning(choice.name, each.database):
                said.setdefault(choice.name, meaning)
    return [Line(f"What {name} does", text, PLAIN, controls.NAME) for name, text in said.items()]


def _absent(found: ResourceAdvice, named: Collection[str]) -> list[Line]:
    """What may change the answer and was not measured, in one line with one command.

    Args:
        found: for a resource.
        named: axes that another line is about.
    """
    absent = by_reason({axis: why for axis, why in found.not_measured.items() if axis not in named})
    if not absent:
        return []
    parts = [sentence(axes) if why == NO_LOAD else f"{sentence(axes)} ({why})" for why, axes in absent.items()]
    how = f" Measure it with: {command(found.resource, found.database, 'sweep.json')}" * (NO_LOAD in absent)
    lead = f"Not measured for {found.resource} on {found.database}"
    return [Line(lead, f"whether the answer changes with {'; with '.join(parts)}.{how}", QUIET)]


def _other_conditions(found: ResourceAdvice) -> list[Line]:
    """When those may be taken that are not advised: how many processes, which servers."""
    choices = [*found.bursts, *(each for axis in found.axes for each in axis.choices)]
    taken = {each.name for each in choices}
    played = {rate.contender.name: rate.contender for each in choices for rate in each.load.rates}
    needed = dict[str, list[str]]()
    for name, contender in played.items():
        if name not in taken and name not in found.excluded and (needs := needs_of(contender)):
            needed.setdefault(", ".join(needs), []).append(name)
    if not needed or not any(taken):
        return []
    said = "; ".join(f"{sentence(names)}: {need}" for need, names in needed.items())
    rest = any(name not in (*taken, *found.excluded) and not needs_of(each) for name, each in played.items())
    text = f"{said}." + " The other ones need nothing but the database, in any number of processes." * rest
    return [Line(f"When others may be taken for {found.resource} on {found.database}", text, QUIET)]


def _undecided(found: ResourceAdvice, axes: Sequence[AxisAdvice]) -> list[Line]:
    """Why nothing can be decided along some axes: a line for each reason."""
    reasons = dict[str, list[str]]()
    for axis in axes:
        reasons.setdefault(_nothing(axis.choices), []).append(axis.axis)
    where = f"Nothing can be decided for {found.resource} on {found.database}, by"
    return [Line(f"{where} {sentence(names)}", text, QUIET) for text, names in reasons.items()]


def _everywhere(found: ResourceAdvice, axes: Sequence[AxisAdvice]) -> Line:
    """One line where the same control is advised along every axis."""
    known = [each for axis in axes for each in axis.choices if each.advised]
    spans = [_span([each for each in axis.choices if each.advised], 0, 1, axis.axis) for axis in axes]
    all_choices = [each for axis in axes for each in axis.choices]
    where = f"{found.resource} on {found.database}: {'; '.join(spans)}"
    text = f"For {where}. {_flips(axes)}{_remarks(all_choices, known)}"
    return Line(f"Take {known[0].name}", text.rstrip(), GOOD, "sweeps")


def _axis(found: ResourceAdvice, axis: AxisAdvice) -> Line:
    """One line for an axis: who up to which value, what that needs, and where it is too close."""
    known = [each for each in axis.choices if each.advised]
    where = f"{found.resource} on {found.database}, by {axis.axis}"
    parts = _parts(axis, known)
    said = [f"{_names(part)} {_span(part, at, len(parts), axis.axis)}" for at, part in enumerate(parts)]
    text = f"For {where}. {_flips([axis])}{_remarks(axis.choices, known)}"
    return Line(f"Take {', '.join(said)}", text.rstrip(), GOOD, "sweeps")


def _flips(axes: Sequence[AxisAdvice]) -> str:
    """At which load the answer becomes another one; empty where only one load was measured."""
    found = [
        f"between {each.low:g} and {each.high:g} {AXES[axis.axis].unit}"
        + ("" if each.at is None else f", at about {few(each.at)}")
        for axis in axes
        for each in axis.flips
    ]
    if found:
        return f"The answer flips {'; '.join(found)}. "
    known = [{each.name for each in axis.choices if each.advised} for axis in axes]
    if any(len(names) > 1 for names in known):
        return "No flip between them is clear. "
    several = any(sum(bool(each.advised) for each in axis.choices) > 1 for axis in axes)
    return "It flips nowhere between them. " if several else ""


def _parts(axis: AxisAdvice, known: Sequence[Choice]) -> list[list[Choice]]:
    """Neighbours whose advice can be the same, together: between two of them the order flips."""
    ends = {each.high for each in axis.flips}
    parts = [[known[0]]]
    for _, each in pairwise(known):
        if _value(each) in ends:
            parts.append([each])
        else:
            parts[-1].append(each)
    return parts


def _span(part: Sequence[Choice], at: int, count: int, axis: str) -> str:
    unit = AXES[axis].unit
    what = unit if axis in unit else f"{unit} ({axis})"
    low, high = f"{_value(part[0]):g}", f"{_value(part[-1]):g}"
    if count == 1:
        return f"at {low} {what}" if low == high else f"from {low} to {high} {what}"
    return f"up to {high} {what}" if at == 0 else f"from {low} {what}"


def _names(part: Sequence[Choice]) -> str:
    return " or ".join(dict.fromkeys(each.name for each in part))


def _burst(found: ResourceAdvice, choice: Choice) -> list[Line]:
    where = f"{found.resource} on {found.database}, in the burst {choice.load.name}{_load(choice)}"
    if choice.advised is None:
        return [Line(f"Nothing can be decided for {where}", _nothing([choice]), QUIET)]
    return [Line(f"Take {choice.name}", f"For {where}. {_remarks([choice], [choice])}".rstrip(), GOOD, "comparison")]


def _load(choice: Choice) -> str:
    """The numbers of a burst that its name does not have."""
    name = choice.load.name
    buyers = [] if " with " in name else [f"{choice.load.buyers} buyers at once"]
    found = [*buyers, *([] if name.endswith(" processes") else ["one process"])]
    return f" ({', '.join(found)})" if found else ""


def _remarks(choices: Sequence[Choice], known: Sequence[Choice]) -> str:
    """How much faster, what it needs, where it is too close to call, where nothing was measured."""
    said = []
    if margins := [each.margin for each in known if each.margin is not None]:
        times = _range([each.median for each in margins])
        ends = _range([end for each in margins for end in (each.low, each.high)])
        interval = f"interval{'s' * (len(margins) > 1)} {ends}"
        said.append(f"It decides {times} times ({interval}) as many orders as the next one that is clearly slower")
    needed = list(dict.fromkeys(f"{each.name}: {need}" for each in known for need in conditions(each)))
    if needed:
        more = f"; and {len(needed) - MOST_NAMED} more conditions" * (len(needed) > MOST_NAMED)
        said.append(f"It holds under these conditions: {'; '.join(needed[:MOST_NAMED])}{more}")
    else:
        said.append("It needs nothing but the database")
    if close := _close(known):
        said.append(f"Too close to call: {'; '.join(close)}")
    said += [_not_measured(each) for each in choices if not each.advised]
    return "".join(f"{each}. " for each in said)


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low} to {high}"


def _close(known: Sequence[Choice]) -> list[str]:
    """Each pair that cannot be told apart, with its loads, or with their number where there are many."""
    found: dict[tuple[str, str], list[str]] = {}
    for each in known:
        for other in each.others:
            found.setdefault((each.name, other.contender.name), []).append(each.load.name)
    if sum(map(len, found.values())) <= MOST_NAMED:
        return [f"{one} with {other} at {sentence(loads)}" for (one, other), loads in found.items()]
    return [f"{one} with {other} at {len(loads)} of {len(known)} loads" for (one, other), loads in found.items()]


def _not_measured(choice: Choice) -> str:
    return f"Not measured: {choice.load.name} ({choice.why_not})"


def _nothing(choices: Sequence[Choice]) -> str:
    """Why nothing can be decided, and what to do about it."""
    counts = [rate.rate.samples for each in choices for rate in each.load.rates]
    if counts and max(counts) < LEAST_ROUNDS:
        return f"too few rounds ({max(counts)} of {LEAST_ROUNDS}): nothing can be decided; go on with {ROUNDS}."
    reasons = list(dict.fromkeys(each.why_not for each in choices if each.why_not))
    return f"{'; '.join(reasons)}."


def _contradictions(found: ResourceAdvice) -> list[Line]:
    """Loads of two documents, or of a burst and a sweep, that are the same and whose advice cannot be."""
    swept = [each for axis in found.axes for each in axis.choices]
    lines = []
    for one, other in combinations([each for each in (*found.bursts, *swept) if each.advised], 2):
        if _same_load(one, other) and not one.names & other.names:
            lines.append(
                Line(
                    "Two measurements contradict each other",
                    f"for {found.resource} on {found.database}: {_claim(one)}, but {_claim(other)}. "
                    f"Trust neither before both are measured again on a machine with nothing else to do.",
                    BAD,
                )
            )
    return lines[:MOST_NAMED]


def _claim(choice: Choice) -> str:
    kind = "the sweep" if choice.load.point else "the burst"
    return f"{kind} {choice.load.name} ({choice.load.file}) says {choice.name}"


def _same_load(one: Choice, other: Choice) -> bool:
    if one.load.point and other.load.point:
        return one.load.file != other.load.file and one.load.point == other.load.point
    if not one.load.point and not other.load.point:
        return one.load.name == other.load.name
    burst, swept = (other, one) if one.load.point else (one, other)
    if swept.load.point is None or swept.load.point.axis != "buyers" or not _is_reference(burst.load.name):
        return False
    few, many = sorted((burst.load.buyers, swept.load.buyers))
    return 0 < many <= NEAR * few


def _is_reference(name: str) -> bool:
    """The burst whose load is that of a sweep over buyers: one product, one process."""
    return name.partition(" ")[0] == "reference" and not name.endswith("processes")


def _value(choice: Choice) -> float:
    return choice.load.point.value if choice.load.point is not None else 0.0
