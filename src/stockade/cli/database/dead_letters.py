"""`stockade dead-letters`: lists what could not be delivered or executed, and sends it again.

There are two sources: events that a sink refused (`events:N`, in the outbox) and commands that a worker could not
execute (`log:N`, in the topic of dead letters). Neighbours: `store.outbox`, `kafka.dead_letters`.
"""

import json
import re
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from stockade.cli.common import (
    ConfigOption,
    DatabaseOption,
    SetOption,
    fail,
    one_line_errors,
    read_settings,
    with_database,
)
from stockade.cli.numbers import count
from stockade.cli.output.lines import say
from stockade.cli.output.table import render, screen_width

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from stockade.kafka.dead_letters import DeadLetter
    from stockade.shop.config.settings import Settings
    from stockade.store import Database

    Found = tuple["DeadLetterRow", DeadLetter | None]

EVENTS, LOG = "events", "log"
NAME = re.compile(f"({EVENTS}|{LOG}):[0-9]+")
OPEN, DECIDED, CUT = "open", "decided", "cut"
MAX_SHOWN_BYTES = 10_000
HEADS = ("name", "kind", "key", "state", "was at", "reason")
Limit = Annotated[int, count("Look at so many of each place, the oldest first.", 1, 100_000)]
Json = Annotated[bool, typer.Option("--json", help="A document instead of a table.")]

app = typer.Typer(
    name="dead-letters",
    help="Events that a sink refused and commands that no worker could carry out: list, show, send again.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class DeadLetterRow(NamedTuple):
    """A dead letter of either source.

    Attributes:
        name: `events:N` or `log:N`.
        kind: of the event, or name of the command; empty when it cannot be read.
        key: what it was ordered by.
        state: `open`; `decided` when the command has been executed since, e.g. because it was sent again; `cut` when
            only its beginning was kept, so that it cannot be sent again.
        reason: why it could not be delivered or executed.
        origin: partition and offset of the command; empty for events.
        content: JSON, or the raw bytes in hexadecimal.
    """

    name: str
    kind: str
    key: str
    state: str
    reason: str
    origin: str
    content: str


@app.command("list")
def list_(
    database: DatabaseOption = None,
    limit: Limit = 1_000,
    as_json: Json = False,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Show all dead letters: of the outbox, and of the log where kafka_bootstrap is set."""
    with one_line_errors():
        chosen = read_settings(config, settings, database=database)
        letters = [letter for letter, _ in with_database(chosen, lambda opened: _found(chosen, opened, limit))]
    if as_json:
        typer.echo(json.dumps([each._asdict() for each in letters], indent=2, ensure_ascii=False))
        return
    _print(letters)
    if not chosen.kafka_bootstrap:
        say("the log was not looked at: kafka_bootstrap is not set", err=True)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="events:N or log:N, as listed.")],
    database: DatabaseOption = None,
    limit: Limit = 1_000,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Show one dead letter with all it contains."""
    with one_line_errors():
        _check_names([name])
        chosen = read_settings(config, settings, database=database)
        letters = [letter for letter, _ in with_database(chosen, lambda opened: _found(chosen, opened, limit))]
        (letter,) = _named(letters, [name], limit)
    for what, value in letter._asdict().items():
        typer.echo(f"{what:<8} {value}")


@app.command("send-again")
def send_again(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]…", help="events:N or log:N, as listed.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that are open.")] = False,
    database: DatabaseOption = None,
    limit: Limit = 1_000,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Send dead letters again, once what they failed on is mended. Safe to repeat: nothing is done twice.

    Events go to the sink with the next round of a relay. Commands go to the end of the log, and stay listed as decided.
    """
    with one_line_errors():
        if bool(names) == everything:
            raise fail("name dead letters, or --all")
        _check_names(names or [])
        chosen = read_settings(config, settings, database=database)
        sent = with_database(chosen, lambda opened: _send(chosen, opened, names or [], limit))
    typer.echo(f"sent again: {sent[EVENTS]} events, {sent[LOG]} commands")


async def _found(settings: "Settings", opened: "Database", limit: int) -> "list[Found]":
    """All dead letters; those of the topic with the message itself."""
    from stockade.kafka.dead_letters import dead_letters, decided
    from stockade.shop.config.strategy_options import kafka_options
    from stockade.store.outbox import Outbox

    rows: list[Found] = [
        (DeadLetterRow(f"{EVENTS}:{each.id}", each.kind, each.key, OPEN, why, "", _text(each.body)), None)
        for each, why in await Outbox(opened).dead(limit)
    ]
    if settings.kafka_bootstrap:
        of_the_log = await dead_letters(kafka_options(settings), limit)
        done = await decided(opened, of_the_log)
        rows += [(_of_the_log(each, done), each) for each in of_the_log]
    return rows


def _of_the_log(letter: "DeadLetter", decided: "Set[str]") -> DeadLetterRow:
    command, record, name = letter.command, letter.record, f"{LOG}:{letter.number}"
    key = _text(record.key or b"")
    if command is None:
        state = CUT if letter.cut else OPEN
        return DeadLetterRow(name, "", key, state, letter.reason, letter.origin, _text(record.value or b""))
    state = DECIDED if command.request_id in decided else OPEN
    return DeadLetterRow(name, command.name, key, state, letter.reason, letter.origin, _fields(command))


async def _send(settings: "Settings", opened: "Database", names: "Sequence[str]", limit: int) -> dict[str, int]:
    from stockade.kafka.dead_letters import send_again as put_back
    from stockade.shop.config.strategy_options import kafka_options
    from stockade.store.outbox import Outbox

    found = await _found(settings, opened, limit)
    letters = [letter for letter, _ in found]
    chosen = _named(letters, names, limit) if names else [each for each in letters if each.state == OPEN]
    for each in chosen:
        if each.state == CUT:
            raise fail(f"{each.name} is cut: only its beginning was kept, so it cannot be sent again")
    wanted = {each.name for each in chosen}
    ids = [int(name.partition(":")[2]) for name in wanted if name.startswith(f"{EVENTS}:")]
    messages = [message for letter, message in found if message is not None and letter.name in wanted]
    requeued = await Outbox(opened).requeue(ids) if ids else 0
    return {EVENTS: requeued, LOG: await put_back(kafka_options(settings), messages) if messages else 0}


def _check_names(names: "Sequence[str]") -> None:
    """Refuse what no dead letter can be named.

    Raises:
        typer.Exit: one is no such name.
    """
    for name in names:
        if not NAME.fullmatch(name):
            raise fail(f"{name!r} names no dead letter: a name is {EVENTS}:N or {LOG}:N, as `dead-letters list` shows")


def _named(letters: "Sequence[DeadLetterRow]", names: "Sequence[str]", limit: int) -> list[DeadLetterRow]:
    """The letters of these names.

    Raises:
        typer.Exit: one is not there.
    """
    known = {each.name: each for each in letters}
    for name in names:
        if name not in known:
            hint = "see `stockade dead-letters list`; for one further back raise --limit"
            raise fail(f"{name} is not among the {limit:,} oldest dead letters: {hint}")
    return [known[name] for name in dict.fromkeys(names)]


def _fields(command: object) -> str:
    import msgspec

    return msgspec.json.encode(command).decode()


def _text(raw: bytes) -> str:
    shown = raw[:MAX_SHOWN_BYTES]
    try:
        return shown.decode()
    except UnicodeDecodeError:
        return shown.hex(" ")


def _print(letters: "Sequence[DeadLetterRow]") -> None:
    if not letters:
        typer.echo("no dead letters")
        return
    rows = [(each.name, each.kind, each.key, each.state, each.origin, each.reason) for each in letters]
    typer.echo(render(HEADS, rows, width=screen_width()))
