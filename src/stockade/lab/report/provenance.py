"""Where figures come from: machine, date, versions, commit, seed, and the command that measures again."""

from collections.abc import Sequence
from typing import Final

from stockade.lab.history.history import History
from stockade.lab.report.documents import Document, Environment, Source, Sweep
from stockade.lab.report.page import Table, Text

UNKNOWN: Final = "not recorded"
HEADS: Final = ("file", "command", "date", "machine", "versions", "commit", "seed")


def table(sources: Sequence[Source]) -> Table:
    """A row for each file."""
    return Table("Where the figures come from", HEADS, tuple(_row(each) for each in sources), code=True)


def _row(source: Source) -> tuple[Text, ...]:
    if source.history is not None:
        found = source.history
        environment = {name: str(value) for name, value in found.environment.items()}
        machine = f"{environment.get('os', UNKNOWN)}, {environment.get('cpu_count', '?')} cores"
        versions = f"stockade {environment.get('stockade', '?')}, Python {environment.get('python', '?')}"
        where = f"{found.database} {environment.get('database_version', '')}".strip()
        date = environment.get("date", UNKNOWN)
        return (
            source.name,
            command_of_history(found),
            date,
            machine,
            f"{versions}, {where}",
            source.commit or UNKNOWN,
            str(found.seed),
        )
    assert source.document is not None  # a source has one of both
    document = source.document
    return (
        source.name,
        command(document),
        document.environment.date,
        machine_of(document.environment),
        versions_of(document.environment),
        source.commit or UNKNOWN,
        str(document.settings.get("seed", "none: no part of it is drawn")),
    )


def machine_of(environment: Environment) -> str:
    """The machine in a few words."""
    cores = "cores unknown" if environment.cpu_count is None else f"{environment.cpu_count} cores"
    return f"{environment.os}, {cores}"


def versions_of(environment: Environment) -> str:
    """The versions in a few words."""
    database = f", {environment.database} {environment.database_version}" if environment.database else ""
    isolation = f" ({environment.isolation})" if environment.isolation else ""
    return f"stockade {environment.stockade}, Python {environment.python}{database}{isolation}"


def command(document: Document) -> str:
    """The command that measures this again, as far as the document says it."""
    if document.cells:
        seconds = document.settings.get("seconds")
        more = f" --seed {document.settings.get('seed')}" if "seed" in document.settings else ""
        more += f" --seconds {seconds:g}" if isinstance(seconds, int | float) else ""
        return f"stockade lab {'ring' if document.matrix else 'soak'}{more}"
    if document.deadlock:
        return f"stockade lab deadlock --database {document.deadlock.database}"
    if document.claims:
        return f"stockade lab claims --database {document.claims[0].database}"
    if document.sweep:
        return _command_of_sweep(document.sweep)
    return _command_of_runs(document)


def _command_of_sweep(sweep: Sweep) -> str:
    values: dict[str, list[str]] = {}
    for point in sweep.points:
        values.setdefault(point.axis, [])
        if f"{point.value:g}" not in values[point.axis]:
            values[point.axis].append(f"{point.value:g}")
    parts = [f"stockade lab sweep --database {sweep.settings.get('database', 'sqlite')}"]
    parts += [f"--{axis} {','.join(each)}" for axis, each in values.items()]
    names = list(dict.fromkeys(point.strategy for point in sweep.points))
    return " ".join([*parts, f"--strategies {','.join(names)}"])


def _command_of_runs(document: Document) -> str:
    parts = ["stockade lab"]
    if not document.runs:
        return parts[0]
    first = document.runs[0]
    if first.database != "sqlite":
        parts.append(f"--database {first.database}")
    chosen = list(dict.fromkeys(run.preset for run in document.runs))
    if chosen != ["reference"]:
        parts.append(f"--preset {','.join(chosen)}")
    faults = [fault for fault in dict.fromkeys(run.fault for run in document.runs) if fault]
    if faults:
        parts.append(f"--fault {','.join(faults)}")
    if first.processes > 1:
        parts.append(f"--processes {first.processes}")
    parts.append(f"--strategies {','.join(dict.fromkeys(run.strategy for run in document.runs))}")
    return " ".join(parts)


def command_of_history(history: History) -> str:
    """The command that records this again."""
    parts = [f"stockade lab record --workload {history.workload} --strategies {history.strategy}"]
    parts.append(f"--database {history.database} --seed {history.seed}")
    if history.faults:
        parts.append(f"--fault {','.join(history.faults)}")
    for name in ("seconds", "processes", "clients"):
        value = history.settings.get(name)
        if isinstance(value, int | float) and value:
            parts.append(f"--{name} {value:g}")
    return " ".join(parts)
