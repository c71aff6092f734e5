"""What a sweep prints when it ends: rows of tables, and sentences. Pure functions; the command renders them."""

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stockade.core import JsonValue
from stockade.lab.sweeps.analysis.crossovers import FLIPS, NONE, NOT_CLEAR, Crossover
from stockade.lab.sweeps.analysis.statistics import Interval
from stockade.lab.sweeps.analysis.summary import SHORT, PointResult, most_counted, servers_of
from stockade.lab.sweeps.axes import AXES
from stockade.lab.sweeps.plan import BURSTS, CONTROL
from stockade.lab.sweeps.sweep import Progress

SECONDS_OF_A_MINUTE = 60
ABSENT = "-"


class Table(NamedTuple):
    """A table: its title, the heads of its columns, and its rows."""

    title: str
    heads: list[str]
    rows: list[list[str]]


def progress_line(progress: Progress) -> str:
    """Where the sweep is, and how long it will take."""
    where = f"[{progress.done}/{progress.total}] {progress.point.id} {progress.contender.name}"
    rate = f"{statistics.median(each.decided_s for each in progress.samples):,.0f} decided/s"
    return f"{where}: {rate}, {time_left(progress.left_s)}"


def time_left(left_s: float) -> str:
    """How long it will take, in words."""
    if left_s >= SECONDS_OF_A_MINUTE:
        return f"about {left_s / SECONDS_OF_A_MINUTE:.0f} min left"
    return f"about {left_s:.0f} s left"


def rate_tables(results: Sequence[PointResult]) -> list[Table]:
    """For each axis the decisions in a second of every strategy at every value."""
    return [_rates(axis, [each for each in results if each.point.axis == axis]) for axis in _axes(results)]


def _rates(axis: str, results: Sequence[PointResult]) -> Table:
    values = list(dict.fromkeys(each.point.value for each in results))
    names = list(dict.fromkeys(each.contender.name for each in results))
    there = {(each.contender.name, each.point.value): each for each in results}
    rows = [[name, *(_rate(there.get((name, value))) for value in values)] for name in names]
    title = f"{axis} ({AXES[axis].unit}): orders decided in a second, median (interval)"
    return Table(title, ["strategy", *(f"{value:g}" for value in values)], rows)


def _rate(result: PointResult | None) -> str:
    if result is None:
        return ABSENT
    found = result.figure("decided_s")
    text = ABSENT if found is None else f"{found.median:,.0f} ({found.low:,.0f}-{found.high:,.0f})"
    if result.counts:
        return text
    if result.contender.name == CONTROL:
        rounds = f"{result.control.times}/{result.control.played}"
        return f"failed {rounds}, as meant" if result.control_failed else f"[failed {rounds}] *"
    if result.is_control and result.violations:
        return "broke a rule, as meant"
    if result.violations:
        return "[broke a rule]"
    return f"[{text}]{'' if result.control_failed else ' *'}"


def counted_line(results: Sequence[PointResult]) -> str:
    """How many points count, and at how many the control failed, which it must for the others to count."""
    judged = [each for each in results if not each.is_control]
    counted = sum(each.counts for each in judged)
    control = [each for each in results if each.contender.name == CONTROL]
    failed = sum(each.control_failed for each in control)
    return (
        f"{counted} of {len(judged)} points of strategies count; the control failed, as it must, at {failed} of "
        f"{len(control)}; [ ] does not count; * {CONTROL} did not fail in most of its rounds"
    )


def note_lines(results: Sequence[PointResult], turn_s: float = 0.0) -> list[str]:
    """What was left out of the tables, which turns were cut short, and which strategies broke a claim.

    Args:
        results: of the sweep.
        turn_s: a turn that takes longer is cut short, in seconds; 0: none is.
    """
    lines = [_short(each) for each in results if each.must_hold and each.failed_share]
    cut = [
        f"{each.point.id} {each.contender.name} in {each.cut}" for each in results if each.must_hold and each.cut.times
    ]
    if turn_s and cut:
        why = f"fewer than {BURSTS} bursts, as a turn took more than {turn_s:g} s; --thorough plays all"
        lines.append(f"cut short ({why}): {'; '.join(cut)}")
    lines += [
        f"not accepted, although alone: {each.point.id} {each.contender.name}: in {each.without_baseline}"
        for each in results
        if each.without_baseline.times
    ]
    return lines + [
        f"BROKE ITS CLAIM: {each.point.id} {each.contender.name}: {each.why_not}"
        for each in results
        if each.claim_violated
    ]


def _short(result: PointResult) -> str:
    share, short = f"{result.failed_share:.1%} of orders got no decision", result.short
    left_out = f"; it {SHORT} in {short}, which are left out" if short.times else ""
    return f"gave up: {result.point.id} {result.contender.name}: {share}{left_out}"


def cost_table(results: Sequence[PointResult], database: str) -> Table:
    """What an order costs, at the first point at which most strategies count.

    Args:
        results: of the sweep.
        database: its dialect.
    """
    found = most_counted(results)
    heads = ["strategy", "trans", "conn ms", "blocked ms", "redis", "cpu ms", "server cpu ms", "p50", "p95", "unfair"]
    if not found:
        return Table("what an order costs: no point counts", heads, [])
    rows = [_cost(each, database) for each in found]
    return Table(f"what an order costs at {found[0].point.id}, medians; latencies in ms", heads, rows)


def _cost(result: PointResult, database: str) -> list[str]:
    servers = [result.per_order(f"{place}_cpu_ms") for place in servers_of(result.contender, database)]
    measured = [each.median for each in servers if each is not None]  # one that was not is not one without work
    return [
        result.contender.name,
        *(_number(result.per_order(name)) for name in ("transactions", "connection_ms", "blocked_ms")),
        *(_number(result.per_order(name)) for name in ("redis_commands", "service_cpu_ms")),
        f"{sum(measured):.2f}" if servers and len(measured) == len(servers) else ABSENT,
        *(_number(result.figure(name)) for name in ("p50_ms", "p95_ms", "inversions")),
    ]


def _number(found: Interval | None) -> str:
    return ABSENT if found is None else f"{found.median:.2f}"


def complexity_table(complexity: Sequence[Mapping[str, JsonValue]]) -> Table:
    """What is counted about every strategy."""
    heads = ["strategy", "own lines", "further lines", "services", "settings", "failure modes", "further", "packages"]
    rows = [
        [
            str(each["strategy"]),
            str(each["own_lines"]),
            str(each["further_lines"]),
            _services(each["services"]),
            str(_count(each["settings"])),
            str(_count(each["failure_modes"])),
            str(_count(each["further_failure_modes"])),
            str(_count(each["dependencies"])),
        ]
        for each in complexity
    ]
    return Table("complexity, counted from the code (docs/sweeps.md)", heads, rows)


def _services(found: JsonValue) -> str:
    assert isinstance(found, Mapping)
    return ", ".join(name if count == 1 else f"{count} {name}" for name, count in found.items()) or ABSENT


def _count(found: JsonValue) -> int:
    assert isinstance(found, list)
    return len(found)


def crossover_lines(found: Sequence[Crossover]) -> list[str]:
    """A sentence for each crossover that was looked for where anything was compared."""
    return [line for each in found if (line := crossover_line(each))]


def crossover_line(found: Crossover) -> str:
    """What an axis does to the order of two strategies, as a sentence; empty where nothing was compared."""
    unit, begin = AXES[found.axis].unit, f"{found.question}, {found.axis}: "
    left_out = f"; left out: {found.reason}" if found.reason else ""
    if found.verdict == FLIPS:
        where = f"between {found.low:g} and {found.high:g} {unit} (by interpolation {found.at:.3g})"
        return f"{begin}{found.before} is faster below, {found.after} above; the order flips {where}{left_out}"
    if found.verdict == NONE:
        low, high = found.compared[0].value, found.compared[-1].value
        return f"{begin}{found.before} is faster throughout, from {low:g} to {high:g} {unit}{left_out}"
    if found.verdict == NOT_CLEAR:
        some = f"; {found.before} is faster where it is clear" if found.before else ""
        return f"{begin}not clear{some}{left_out}"
    return ""


def _axes(results: Sequence[PointResult]) -> list[str]:
    return list(dict.fromkeys(each.point.axis for each in results))
