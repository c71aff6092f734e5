"""`stockade lab history`: what a kept history says about one row, one request or one client."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stockade.cli.exit_codes import OK
from stockade.cli.lab.common import one_line_errors
from stockade.cli.numbers import count
from stockade.cli.output.table import render, screen_width

if TYPE_CHECKING:
    from stockade.lab.checkers.explain import Table
    from stockade.lab.checkers.indexed_history import IndexedHistory

KeyOption = Annotated[str, typer.Option(metavar="KEY", help="A row, e.g. stock:7: who wrote its versions.")]
Version = Annotated[int, count("Of that row, in the middle of what is shown; 0: its last ones.", 0, 2**62)]
Around = Annotated[int, count("Versions, or operations of a client, before and after the one in the middle.", 0, 1_000)]
Request = Annotated[str, typer.Option(metavar="ID", help="A request: all its tries, and what is recorded of it.")]
Client = Annotated[int | None, count("A client: what it did, in order.", 0, 2**31)]
Operation = Annotated[
    int | None, count("Of that client, in the middle of what is shown; default: all that it did.", 0, 2**62)
]


def history(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A history, as `stockade lab record` keeps it.")],
    key: KeyOption = "",
    version: Version = 0,
    around: Around = 5,
    request: Request = "",
    client: Client = None,
    operation: Operation = None,
) -> None:
    """Show what a kept history says about a row, a request or a client.

    Times are seconds since the load began. Without an option: what was
    recorded, and the faults.
    """
    from stockade.lab.checkers.explain import MAX_ROWS, RIGHT, tries_of, versions_around, work_of
    from stockade.lab.checkers.indexed_history import IndexedHistory
    from stockade.lab.history.history_file import read_history

    with one_line_errors():
        if version and not key:
            raise ValueError("--version is one of a row: name the row with --key")
        if operation is not None and client is None:
            raise ValueError("--operation is one of a client: name the client with --client")
        indexed = IndexedHistory(read_history(file))
        tables = []
        if key:
            _require_version(indexed, key, version)
            tables.append(versions_around(indexed, key, version, around))
        if request:
            tables.append(tries_of(indexed, request))
        if client is not None:
            tables.append(work_of(indexed, client) if operation is None else _near(indexed, client, operation, around))
        for table in tables:
            if not table.rows:
                raise ValueError(f"{file} has nothing about {table.title}")
            typer.echo(table.title)
            typer.echo(render(table.heads, table.rows, width=screen_width(), right=RIGHT))
            if len(table.rows) == MAX_ROWS:
                typer.echo(f"the first {MAX_ROWS}; there may be more")
        if not tables:
            _summary(indexed)
    raise typer.Exit(OK)


def _near(indexed: "IndexedHistory", client: int, operation: int, around: int) -> "Table":
    """What a client did around one of its operations.

    Raises:
        ValueError: this operation is none of its own.
    """
    from stockade.lab.checkers.explain import work_of

    own = [each.number for each in indexed.history.operations if each.client == client]
    if own and operation not in own:
        raise ValueError(f"client {client} has no operation {operation} in this history; its first is {min(own)}")
    return work_of(indexed, client, operation, around)


def _require_version(indexed: "IndexedHistory", key: str, version: int) -> None:
    """Refuse a version that the row never had, and that no operation saw.

    Raises:
        ValueError: there is none; the message names the last one.
    """
    known = {line.version for line in indexed.ledger.get(key, ())}
    known |= {each.versions[key] for each in indexed.history.operations if key in each.versions}
    if version and known and version not in known:
        raise ValueError(f"{key} has no version {version} in this history; the last is {max(known)}")


def _summary(indexed: "IndexedHistory") -> None:
    from collections import Counter

    from stockade.lab.checkers.fault_times import fault_times

    found = indexed.history
    types = Counter(each.type for each in found.operations)
    typer.echo(f"{found.workload}, {found.strategy} on {found.database}, seed {found.seed}")
    typer.echo(f"{len(found.operations):,} operations: {', '.join(f'{n:,} {name}' for name, n in types.items())}")
    for name, value in {**found.settings, **found.environment}.items():
        typer.echo(f"{name}: {value}")
    begin = found.phases.warm_ns
    for each in fault_times(found):
        times = f"{(each.begin_ns - begin) / 1e9:.3f} to {(each.end_ns - begin) / 1e9:.3f} s"
        typer.echo(f"fault {each.fault}, {times} {each.detail}".rstrip())
