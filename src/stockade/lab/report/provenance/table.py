"""Where figures come from: machine, date, versions, commit, seed. Neighbour: `commands.py` measures them again."""

from collections.abc import Sequence
from typing import Final

from stockade.lab.report.documents import Environment, Source
from stockade.lab.report.page import Table, Text
from stockade.lab.report.provenance.commands import command, command_of_history
from stockade.lab.reporting.checkout import without_commit

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
        versions = (
            f"stockade {without_commit(environment.get('stockade', '?'))}, Python {environment.get('python', '?')}"
        )
        where = f"{found.database} {environment.get('database_version', '')}".strip()
        date = environment.get("date", UNKNOWN)
        return (
            source.name,
            command_of_history(found),
            date,
            machine,
            f"{versions}, {where}",
            commit_of(source),
            str(found.seed),
        )
    assert source.document is not None  # a source has one of both
    document = source.document
    return (
        source.name,
        command(document, source.sweep),
        document.environment.date,
        machine_of(document.environment),
        versions_of(document.environment),
        commit_of(source),
        str(document.settings.get("seed", "none: no part of it is drawn")),
    )


def commit_of(source: Source) -> str:
    """The commit whose code measured: as the file says it, or else as whoever named the file says, which is marked."""
    return source.recorded or (f"{source.commit} (as named with the file)" if source.commit else UNKNOWN)


def machine_of(environment: Environment) -> str:
    """The machine in a few words."""
    cores = "cores unknown" if environment.cpu_count is None else f"{environment.cpu_count} cores"
    return f"{environment.os}, {cores}"


def versions_of(environment: Environment) -> str:
    """The versions in a few words."""
    database = f", {environment.database} {environment.database_version}" if environment.database else ""
    isolation = f" ({environment.isolation})" if environment.isolation else ""
    servers = "".join(f", {name}: {version}" for name, version in environment.servers.items() if not database)
    about = f"stockade {without_commit(environment.stockade)}, Python {environment.python}"
    return f"{about}{database}{isolation}{servers}"
