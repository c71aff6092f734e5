"""Runs that can be compared with each other, and what all sections know of them. Pure functions.

Runs of one document, preset, database, load and fault were made together, interleaved in no other way than the lab
does: only these are ranked. Neighbour: `proof.py` says what a run shows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stockade.lab.charts import Style, styles
from stockade.lab.model.contender import all_contenders
from stockade.lab.report.documents import Run, Source
from stockade.lab.report.numbers import apart
from stockade.lab.report.page import slug
from stockade.lab.report.proof import kept, shown, variants
from stockade.lab.reporting.published import published
from stockade.lab.runs.plan import WARM_UPS
from stockade.lab.sweeps.analysis.statistics import Interval, interval


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that are compared.

    Attributes:
        source: the file.
        preset: e.g. `reference`.
        database: e.g. `postgres`.
        processes: that sent.
        buyers: of each repeat.
        stock: units or points at the start.
        fault: name of the fault; empty without.
        runs: one of each strategy.
    """

    source: Source
    preset: str
    database: str
    processes: int
    buyers: int
    stock: int
    fault: str
    runs: tuple[Run, ...]

    @property
    def what(self) -> str:
        """What was run, in a few words."""
        where = f"{self.database}, {self.processes} process{'' if self.processes == 1 else 'es'}"
        return f"{self.preset}: {self.buyers} buyers, {self.stock} in stock, {where}"

    @property
    def proof(self) -> bool:
        """Whether a negative control failed under this load: without one, nothing was shown."""
        return shown(self.runs)

    @property
    def slug(self) -> str:
        """For the names of its figures."""
        return slug(self.source.name.rpartition(".")[0], self.preset, self.database, str(self.processes), self.fault)

    @property
    def published(self) -> dict[str, float]:
        """Wall times in the Kotlin project's report, in ms, by strategy; none for a load that it did not have.

        Nor is there any if only one of its strategies was measured: there is no order to compare.
        """
        played = [run.strategy for run in self.runs]
        found = [published(each, played, self.buyers, self.stock) for each in variants(self.preset)]
        return found[0] if found else {}


def groups(sources: Iterable[Source]) -> list[Group]:
    """The runs of all documents, in the order in which they stand there."""
    found: dict[tuple[int, str, str, int, int, int, str], list[Run]] = {}
    of: dict[int, Source] = {}
    for number, source in enumerate(sources):
        of[number] = source
        for run in source.document.runs if source.document else ():
            key = (number, run.preset, run.database, run.processes, run.buyers, run.stock, run.fault)
            found.setdefault(key, []).append(run)
    return [Group(of[key[0]], *key[1:], tuple(runs)) for key, runs in found.items()]


def compared(sources: Iterable[Source]) -> list[Group]:
    """The groups without a fault and without payments: those that are ranked."""
    return [each for each in groups(sources) if not each.fault and not any(run.payments for run in each.runs)]


def behind(group: Group, sources: Iterable[Source]) -> str:
    """What stands behind the titles of a group's charts: nothing if there is no other group."""
    return f": {group.what}" if len(compared(sources)) > 1 else ""


def loads(sources: Iterable[Source]) -> tuple[str, ...]:
    """A paragraph that says what all charts of the only group show; none if there are several."""
    found = compared(sources)
    return (
        (f"Load: {found[0].what}, {len(found[0].runs[0].wall_ms.samples)} repeats and {WARM_UPS} to warm up.",)
        if len(found) == 1
        else ()
    )


@dataclass(frozen=True, slots=True)
class Row:
    """A time of a strategy. One over a log has two: until the log had the commands, and until they were decided.

    Attributes:
        name: of the row.
        run: whose.
        samples: of all timed repeats, in ms.
        p50: of the latencies of all buyers, in ms.
        p95: the same.
        p99: the same.
        published: by a report, in ms; None: it has none.
        accepted: whether it ends when the log has the commands, and nothing is decided yet.
    """

    name: str
    run: Run
    samples: tuple[float, ...]
    p50: float
    p95: float
    p99: float
    published: float | None
    accepted: bool = False

    @property
    def middle(self) -> Interval:
        """The median with its interval."""
        return interval(self.samples)

    @property
    def ranked(self) -> bool:
        """Whether its time counts: of a strategy that promises something here and kept it, until the decision."""
        return not self.accepted and kept(self.run)


def rows(group: Group) -> list[Row]:
    """The rows of a group, fastest first."""
    found = []
    for run in group.runs:
        value = group.published.get(run.strategy)
        times = run.latency_ms
        if run.log is None:
            found.append(Row(run.strategy, run, run.wall_ms.samples, times.p50, times.p95, times.p99, value))
            continue
        name, before = run.strategy, run.log.accepted_latency_ms
        # the report measured until its producer had published the commands
        found.append(
            Row(
                f"{name} (accepted)",
                run,
                run.log.accepted_wall_ms.samples,
                before.p50,
                before.p95,
                before.p99,
                value,
                accepted=True,
            )
        )
        found.append(Row(f"{name} (decided)", run, run.wall_ms.samples, times.p50, times.p95, times.p99, None))
    return sorted(found, key=lambda row: row.middle.median)


def ranking(group: Group) -> list[Row]:
    """The rows whose times count, fastest first."""
    return [row for row in rows(group) if row.ranked]


def tied(fastest: Row, others: Sequence[Row]) -> list[Row]:
    """Those of which nobody can say whether they are slower: intervals that touch, or too few repeats."""
    return [row for row in others if row is not fastest and not apart(row.middle, fastest.middle)]


def style_of(names: Sequence[str]) -> dict[str, Style]:
    """A style for each name: strategies have the same one in every chart of every report."""
    # those that need no service stand in most charts: they come first, so that each of them has its own colour
    order = sorted(all_contenders(with_forms=True), key=lambda each: (bool(each.guarantees.needs), ":" in each.name))
    known = styles([each.name for each in order])
    further = [name for name in dict.fromkeys(names) if base(name) not in known]
    other = styles([*known, *further])
    return {name: known.get(base(name)) or other[name] for name in names}


def base(name: str) -> str:
    """The strategy in the name of a row."""
    return name.partition(" (")[0]
