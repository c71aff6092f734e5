"""Where figures come from: machine, date, versions, commit, seed. Neighbour: `commands.py` measures them again."""

from collections.abc import Sequence
from typing import Final

from stockade.lab.report.documents import Environment, Source
from stockade.lab.report.page import Table, Text
from stockade.lab.report.provenance.commands import command, command_of_history

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
        command(document, source.sweep),
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
