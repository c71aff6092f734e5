"""`stockade positions`: how far the commands of the topic are decided, and setting a position by hand.

Positions lie in the database and move with the orders; the group's own offsets only feed lag figures. Neighbours:
`store.consumer_offsets` keeps them, `kafka.admin` says how far the log goes; docs/strategies/kafka.md says when.
"""

import json
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from stockade.cli.common import (
    ConfigOption,
    DatabaseOption,
    SetOption,
    one_line_errors,
    read_settings,
    require_brokers,
    with_database,
)
from stockade.cli.numbers import whole
from stockade.cli.output.table import render, screen_width

if TYPE_CHECKING:
    from stockade.kafka.admin import Admin
    from stockade.shop.config.settings import Settings
    from stockade.store import Database

FIRST, END = "first", "end"
MAX_PARTITION = 2**31 - 1  # an int32 in the protocol of Kafka
HEADS = ("partition", "first message", "position", "end", "behind")

app = typer.Typer(
    name="positions",
    help="How far the log of commands was decided, by partition; set it by hand.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class PartitionRow(NamedTuple):
    """One partition; None where the topic or the database does not know it."""

    partition: int
    first: int | None
    position: int | None
    end: int | None
    behind: int | None


@app.command("list")
def list_(
    database: DatabaseOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="A document instead of a table.")] = False,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Show for each partition what the log holds, how far it was decided, and what is not decided yet."""
    with one_line_errors():
        chosen = read_settings(config, settings, database=database)
        rows = with_database(chosen, lambda opened: _rows(chosen, opened, _admin(chosen)))
    if as_json:
        typer.echo(json.dumps([row._asdict() for row in rows], indent=2))
    else:
        _print(rows)


@app.command()
def rewind(
    partition: Annotated[
        int, typer.Argument(metavar="PARTITION", parser=whole(0, MAX_PARTITION), help="Number of the partition.")
    ],
    to: Annotated[
        str,
        typer.Argument(metavar="OFFSET", help="A number, `first` (the oldest message) or `end` (skip all)."),
    ],
    database: DatabaseOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Set the position of a partition while no worker runs; workers that are started then go on from there.

    What is decided again gives its recorded outcome and moves nothing, as long as it is remembered: what moved stock,
    points or an order for ever, refusals for keep_hours.
    """
    with one_line_errors():
        chosen = read_settings(config, settings, database=database)
        before, now = with_database(chosen, lambda opened: _rewind(chosen, opened, partition, to))
    typer.echo(f"{chosen.kafka_topic}/{partition}: {before} -> {now}")


def _admin(settings: "Settings") -> "Admin":
    """The brokers of the settings.

    Raises:
        BadSetting: there are none.
    """
    from stockade.kafka.admin import Admin
    from stockade.shop.config.kafka_brokers import brokers_of

    require_brokers(settings)
    return Admin(brokers_of(settings))


async def _rows(settings: "Settings", opened: "Database", admin: "Admin") -> list[PartitionRow]:
    import asyncio

    from stockade.kafka.backlog import undecided
    from stockade.store.consumer_offsets import ConsumerOffsets

    positions = await ConsumerOffsets(opened, settings.kafka_topic).read()
    ranges = await asyncio.to_thread(admin.offset_ranges, settings.kafka_topic)
    behind = undecided(ranges, positions)
    rows = []
    for part in sorted({*positions, *ranges}):
        first, end = ranges.get(part, (None, None))
        rows.append(PartitionRow(part, first, positions.get(part), end, behind.get(part)))
    return rows


async def _rewind(settings: "Settings", opened: "Database", part: int, to: str) -> tuple[int, int]:
    """Set it; the positions before and now.

    Raises:
        BadSetting: workers run, or there is no such partition or offset.
    """
    import asyncio

    from stockade.shop.config.settings import BadSetting
    from stockade.store.consumer_offsets import ConsumerOffsets

    admin = _admin(settings)
    if await asyncio.to_thread(admin.has_members, settings.kafka_group):
        raise BadSetting(
            f"workers of the group {settings.kafka_group!r} are running: stop the workers first "
            f"(one that was killed counts for kafka_session_s, {settings.kafka_session_s:g} s)"
        )
    rows = {row.partition: row for row in await _rows(settings, opened, admin)}
    row = rows.get(part)
    if row is None or row.first is None or row.end is None:
        there = ", ".join(str(row.partition) for row in rows.values() if row.end is not None) or "none"
        raise BadSetting(f"{settings.kafka_topic} has no partition {part}; there are: {there}")
    if row.position is None:
        raise BadSetting(f"partition {part} was never read: a worker starts it at its first message anyway")
    named = {FIRST: row.first, END: row.end}
    if to not in named and not to.isdecimal():
        raise BadSetting(f"{to!r} must be an offset, {FIRST} or {END}")
    new = named[to] if to in named else int(to)
    if not row.first <= new <= row.end:
        raise BadSetting(f"{new} is outside partition {part}: it holds {row.first} to {row.end} (`{END}`)")
    await ConsumerOffsets(opened, settings.kafka_topic).rewind(part, new)
    return row.position, new


def _print(rows: list[PartitionRow]) -> None:
    if not rows:
        typer.echo("there is no such topic, and nothing of it was ever read")
        return
    cells = [["-" if value is None else str(value) for value in row] for row in rows]
    typer.echo(render(HEADS, cells, width=screen_width(), right=HEADS))
