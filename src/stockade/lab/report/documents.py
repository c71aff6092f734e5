"""Documents and histories that a report is made of, read from files. Members that no section shows are passed over.

Neighbours: `swept.py` computes a sweep; `cli/lab/*` and `reporting/document.py` write documents,
`history/history_file.py` histories.
"""

import math
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from stockade.lab.checkers import judge
from stockade.lab.errors import LabError
from stockade.lab.history.history import History
from stockade.lab.history.history_file import read_history
from stockade.lab.report.swept import Sweep, sweep_of
from stockade.lab.reporting.checkout import commit_in

SCHEMAS: Final = ("stockade.lab/1", "stockade.lab/2", "stockade.lab/3")
MEMBERS: Final = ("runs", "cells", "deadlock", "claims", "sweep", "history")
MOST_BYTES: Final = 256_000_000  # of a file
MOST_FILES: Final = 64
MOST_RUNS: Final = 2_000
JUDGED: Final = 40_000  # operations of a history: more take many seconds to judge
Count = Annotated[int, msgspec.Meta(ge=0)]


class Environment(msgspec.Struct, frozen=True):
    """Where and when something was measured; a ring has several servers."""

    stockade: str
    python: str
    os: str
    cpu_count: int | None
    date: str
    database: str = ""
    database_version: str = ""
    isolation: str = ""
    servers: dict[str, str] = {}


class Violation(msgspec.Struct, frozen=True):
    """A broken rule."""

    rule: str
    detail: str = ""


class Spread(msgspec.Struct, frozen=True):
    """Samples and what sums them up, in milliseconds."""

    median: float
    low: float
    high: float
    samples: Annotated[tuple[float, ...], msgspec.Meta(min_length=1)]


class Percentiles(msgspec.Struct, frozen=True):
    """Of the latencies of all buyers, in milliseconds."""

    p50: float
    p95: float
    p99: float


class Log(msgspec.Struct, frozen=True):
    """Further figures of a strategy over a log."""

    partitions: int
    workers: int
    accepted_wall_ms: Spread
    accepted_latency_ms: Percentiles
    orders_per_transaction: float
    lag: int


class Payments(msgspec.Struct, frozen=True):
    """Further figures where buyers pay through a gateway."""

    approvals_per_payment: float
    most_approvals: int
    charged_not_recorded: int
    recorded_not_charged: int
    connections_held: int
    pool_wait_ms: float
    payments_s: float


class Run(msgspec.Struct, frozen=True):
    """A strategy in a preset: a row of the lab's table."""

    preset: str
    strategy: str
    database: str
    processes: int
    buyers: Annotated[int, msgspec.Meta(ge=1)]
    stock: int
    accepted: Count
    rejected: Count
    failed: Count
    left: int
    violations: tuple[Violation, ...]
    wall_ms: Spread
    latency_ms: Percentiles
    attempts_per_order: float
    deadlocks: int
    verdict: str
    fault: str = ""
    log: Log | None = None
    payments: Payments | None = None


class CellOfRing(msgspec.Struct, frozen=True):
    """A recording of a ring or of a soak."""

    cell: str
    database: str
    strategy: str
    faults: tuple[str, ...]
    workload: str
    seed: int
    expected: str
    verdict: str
    violations: tuple[Violation, ...]
    operations: dict[str, Count]
    wall_s: float
    history: str = ""
    reason: str = ""


class Pair(msgspec.Struct, frozen=True):
    """An entry of the matrix of a ring."""

    strategy: str
    fault: str
    verdict: str
    reason: str = ""


class Experiment(msgspec.Struct, frozen=True):
    """One of the deadlock bench."""

    part: str
    name: str
    removed: str
    expected: str
    observed: str
    held: bool
    figures: dict[str, Any]


class Graph(msgspec.Struct, frozen=True):
    """Who waits for whom."""

    drawing: str


class Deadlock(msgspec.Struct, frozen=True):
    """What the deadlock bench found."""

    database: str
    experiments: tuple[Experiment, ...]
    graphs: dict[str, Graph] = {}
    left_out: tuple[str, ...] = ()


class Claim(msgspec.Struct, frozen=True):
    """A claim of the reports, and what was measured."""

    name: str
    says: str
    source: str
    database: str
    left_out: str
    measured: tuple[str, ...]
    verdict: str
    why: str
    as_expected: bool | None
    figures: dict[str, Any]


class Document(msgspec.Struct, frozen=True):
    """A document of the lab. Members that its command does not write are empty."""

    schema: str
    environment: Environment
    runs: Annotated[tuple[Run, ...], msgspec.Meta(max_length=MOST_RUNS)] = ()
    cells: tuple[CellOfRing, ...] = ()
    matrix: tuple[Pair, ...] = ()
    settings: dict[str, Any] = {}
    complete: bool = True
    controls_not_caught: tuple[str, ...] = ()
    deadlock: Deadlock | None = None
    claims: tuple[Claim, ...] = ()
    not_exposed: tuple[str, ...] = ()


class Source(msgspec.Struct, frozen=True):
    """A file that was read.

    Attributes:
        name: of the file, without its folder.
        document: in it; None if it is a history.
        history: in it; None if it is a document.
        commit: of the code that measured, as whoever named the file says; empty: nobody did.
        sweep: in the document, computed; None: there is none.
        violations: what the checkers found in the history; None: it has too many operations to be judged here.
        values: of the document as they were read, for `lab/advice`.
    """

    name: str
    document: Document | None = None
    history: History | None = None
    commit: str = ""
    sweep: Sweep | None = None
    violations: tuple[Violation, ...] | None = ()
    values: dict[str, Any] = {}

    @property
    def recorded(self) -> str:
        """The commit that the file itself names; empty: it names none."""
        if self.document is not None:
            return commit_in(self.document.environment.stockade)
        return commit_in(str(self.history.environment.get("stockade", ""))) if self.history is not None else ""


def read_sources(names: list[str]) -> list[Source]:
    """Read the files; `FILE@COMMIT` names the commit whose code measured.

    Raises:
        LabError: one cannot be read, is nothing of the lab, or of another version.
    """
    if not names:
        raise LabError("name a document: stockade lab --json lab.json writes one")
    if len(names) > MOST_FILES:
        raise LabError(f"{len(names)} files: at most {MOST_FILES} in one report")
    return [read_source(name) for name in names]


def read_source(name: str) -> Source:
    """Read one file.

    Raises:
        LabError: as `read_sources`; or the file says itself which commit measured, and that is another one.
    """
    found = _read(name)
    recorded, named = found.recorded, found.commit
    commit = recorded.partition(",")[0]
    if recorded and named and not (commit.startswith(named) or named.startswith(commit)):
        raise LabError(f"{found.name}@{named}: the file says that commit {recorded} measured; leave @{named} out")
    return found


def _read(name: str) -> Source:
    path, commit = Path(name), ""
    if not path.exists() and "@" in name:
        before, _, commit = name.rpartition("@")
        path = Path(before)
    if not path.is_file():
        raise LabError(f"{path}: {'is no file' if path.exists() else 'there is no such file'}")
    if path.stat().st_size > MOST_BYTES:
        raise LabError(f"{path}: is larger than {MOST_BYTES // 1_000_000} MB")
    if path.suffix == ".jsonl":
        history = read_history(path)
        return Source(path.name, history=history, commit=commit, violations=_judged(history))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LabError(f"{path}: cannot be read ({error.strerror})") from None
    document, sweep = document_of(content, str(path))
    return Source(path.name, document=document, commit=commit, sweep=sweep, values=msgspec.json.decode(content))


def _judged(history: History) -> tuple[Violation, ...] | None:
    if len(history.operations) > JUDGED:
        return None
    return tuple(Violation(each.rule, each.detail) for each in judge(history))


def document_of(content: bytes, name: str) -> tuple[Document, Sweep | None]:
    """The document in these bytes, and its sweep.

    Args:
        content: JSON.
        name: of the file, for errors.

    Raises:
        LabError: it is none, or of another version.
    """
    try:
        values = msgspec.json.decode(content)
    except msgspec.MsgspecError as error:
        raise LabError(f"{name}: is no JSON document ({error})") from None
    if not isinstance(values, dict) or "schema" not in values:
        raise LabError(f"{name}: is no document of the lab: it names no schema")
    if values["schema"] not in SCHEMAS:
        raise LabError(
            f"{name}: is {str(values['schema'])[:60]!r}, this version reads {', '.join(SCHEMAS)}; measure it again"
        )
    try:
        found = msgspec.convert(values, Document)
    except msgspec.ValidationError as error:
        raise LabError(f"{name}: is no document of the lab: {error}") from None
    if not any(member in values for member in MEMBERS):
        raise LabError(f"{name}: has none of {', '.join(MEMBERS)}: there is nothing to report")
    _require_finite(values, name)
    return found, sweep_of(values, name) if values.get("sweep") is not None else None


def _require_finite(values: Any, name: str) -> None:
    """JSON of some writers has numbers such as 1e999, which are no measurement and cannot be drawn."""
    pending = [values]
    while pending:  # ends: each value of the document comes once
        each = pending.pop()
        if isinstance(each, dict):
            pending += each.values()
        elif isinstance(each, list):
            pending += each
        elif isinstance(each, float) and not math.isfinite(each):
            raise LabError(f"{name}: has a number that is not finite")
