"""`stockade erase-user` and `stockade archive`: what an operator removes, without breaking a sum."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stockade.cli.common import ConfigOption, DatabaseOption, SetOption, fail, one_line_errors, read_settings
from stockade.cli.exit_codes import FAILED
from stockade.cli.output.lines import say

if TYPE_CHECKING:
    from stockade.shop.config.settings import Settings
    from stockade.shop.retention.archive import Archived
    from stockade.shop.retention.erase import Erased

StrategyOption = Annotated[
    str | None,
    typer.Option(help="Strategy of the services that run beside it, as for `serve`; default sequencer."),
]


def erase_user(
    user: Annotated[str, typer.Argument(help="User id, as the tokens have it.")],
    *,
    database: DatabaseOption = None,
    strategy: StrategyOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Erase a person's data: the user id becomes a random alias in every row, and the audit stays right.

    Block the person at the issuer of the tokens first. Run it again after wait_s: it finds what was written meanwhile.

    Exit code 0: rows were changed. 1: no row has the user id. 2: nothing was done.
    """
    import asyncio

    from stockade.identity.user_ids import addressed_user_id
    from stockade.shop.retention.erase import EraseRefused, NoSuchUser

    try:
        user_id = addressed_user_id(user)
    except ValueError as error:
        raise fail(str(error)) from None
    with one_line_errors():
        chosen = read_settings(config, settings, database=database, strategy=strategy)
        try:
            erased = asyncio.run(_erase(chosen, user_id))
        except NoSuchUser as nobody:
            raise fail(str(nobody), FAILED) from None
        except EraseRefused as refused:
            raise fail(str(refused)) from None
    counts = {name: count for name, count in erased._asdict().items() if name != "alias"}
    if as_json:
        typer.echo(json.dumps(erased._asdict()))
    else:
        say(f"now {erased.alias}: {', '.join(f'{count:,} {name}' for name, count in counts.items())}")


async def _erase(settings: "Settings", user: str) -> "Erased":
    from functools import partial

    from stockade.shop.bootstrap import open_registered
    from stockade.shop.database_checks import require_writable
    from stockade.shop.retention.erase import erase_user as erase

    async with open_registered(settings, before=partial(require_writable, settings)) as opened:
        return await erase(opened, user)


def archive(
    *,
    before: Annotated[str, typer.Option(metavar="DATE", help="Orders of that day (UTC) and later stay: 2026-01-31.")],
    to: Annotated[Path, typer.Option(metavar="FILE", help="Gets one line of JSON for each order; appended to.")],
    database: DatabaseOption = None,
    strategy: StrategyOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Move orders that are over into a file, and delete their rows; the audit stays right.

    Orders whose events are still in the outbox stay, and so does everything of the last 31 days.
    """
    import asyncio

    with one_line_errors():
        chosen = read_settings(config, settings, database=database, strategy=strategy)
        before_ms = _before_ms(before)
        try:
            archived, limit_ms = asyncio.run(_archive(chosen, before_ms, to))
        except (TimeoutError, ConnectionError):
            raise fail("the database did not answer in time; run it again, which is safe") from None
        except OSError as error:
            raise fail(f"cannot write {to}: {error.strerror}") from None
    say(
        f"{archived.orders:,} orders with {archived.units:,} units for {archived.total:,} won are in {to}; "
        f"of these {archived.sold:,} units for {archived.revenue:,} won were sold"
    )
    if limit_ms < before_ms:
        when = datetime.fromtimestamp(limit_ms / 1000, UTC).isoformat(timespec="seconds")
        say(
            f"orders since {when} stay: the outbox still has events of that time (docs/events.md), or the service must "
            "run first, to take its hours out of the sums of sales (docs/deploy.md)"
        )


def _before_ms(text: str) -> int:
    """The beginning of a day, in milliseconds since 1970.

    Raises:
        BadSetting: it is no date, or too late.
    """
    from stockade.core.clock import now_ms
    from stockade.shop.config.settings import BadSetting
    from stockade.shop.retention.archive import MIN_AGE_DAYS

    latest = datetime.fromtimestamp(now_ms() / 1000, UTC) - timedelta(days=MIN_AGE_DAYS)
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise BadSetting(f"--before {text}: must be a day, e.g. {latest:%Y-%m-%d}") from None
    if day > latest:
        raise BadSetting(f"--before {text}: must be {latest:%Y-%m-%d} or earlier, {MIN_AGE_DAYS} days ago")
    return int(day.timestamp() * 1000)


async def _archive(settings: "Settings", before_ms: int, to: Path) -> "tuple[Archived, int]":
    from functools import partial

    from stockade.shop.bootstrap import open_registered
    from stockade.shop.database_checks import require_writable
    from stockade.shop.retention.archive import ArchiveFile
    from stockade.shop.retention.archive import archive as move

    async with open_registered(settings, before=partial(require_writable, settings)) as opened:
        with ArchiveFile(to) as file:
            return await move(opened, before_ms, file)
