"""What the commands share: options, settings, one-line errors instead of tracebacks.

Neighbour: `shop.config.load` reads the other sources of settings.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from stockade.cli.exit_codes import FAILED, UNUSABLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from stockade.service import Application
    from stockade.shop.config.settings import Settings
    from stockade.store import Database, Schema, StoreTables

T = TypeVar("T")

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help="postgresql://USER:PASSWORD@HOST/NAME, mysql://…, mariadb://… or sqlite:///FILE.",
    ),
]
ConfigOption = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="TOML file with settings; default ./stockade.toml.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting (docs/settings.md).")
]

AppOption = Annotated[
    str | None,
    typer.Option(
        "--app",
        metavar="MODULE:ATTRIBUTE",
        help="An application of your own, also by the name of an entry point; default: the shop.",
    ),
]


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn an error that a user can correct into one line on standard error and an exit code."""
    from sqlalchemy.exc import DBAPIError

    from stockade.cli.advice import advice
    from stockade.core import Busy, NotSupported, StockadeError
    from stockade.drivers.failures import describe
    from stockade.service.application import UnknownApplication
    from stockade.shop.config.settings import BadSetting
    from stockade.store.engine.backends import CommitUnconfirmed

    try:
        yield
    except (BadSetting, NotSupported, UnknownApplication) as error:
        raise fail(f"{error}{advice(str(error))}") from None
    except Busy as error:
        raise fail(f"{error.code}: {error}{advice(str(error))}") from None
    except StockadeError as error:
        raise fail(f"{error.code}: {error}", FAILED) from None
    except CommitUnconfirmed:
        raise fail(
            "the database did not confirm the commit: it may be done or not; run it again, which is safe"
        ) from None
    except DBAPIError as error:  # of a kind that `drivers.failures` does not classify
        text = describe(error)
        raise fail(f"the database refuses this: {text}{advice(text)}") from None


def fail(reason: str, code: int = UNUSABLE) -> typer.Exit:
    """Print the reason in one line; the caller raises the returned exception."""
    first_line, *_ = reason.splitlines() or [""]
    typer.echo(f"error: {first_line}", err=True)
    return typer.Exit(code)


def read_settings(config: str | None, pairs: list[str] | None, **flags: object) -> "Settings":
    """The settings of a command.

    Args:
        config: path of a TOML file.
        pairs: `NAME=VALUE` each.
        flags: settings with options of their own; None where the option is absent.

    Raises:
        BadSetting: see `load_settings`; or a pair without `=`.
    """
    import os

    from stockade.core.secrets import hide_password
    from stockade.shop.config.load import load_settings
    from stockade.shop.config.settings import BadSetting

    values: dict[str, object] = {}
    written: dict[str, str] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise BadSetting(f"--set {hide_password(pair)}: must be NAME=VALUE")
        name = name.strip().replace("-", "_")
        values[name], written[name] = value, f"--set {name}"
    own = {name: value for name, value in flags.items() if value is not None}
    values.update(own)
    written.update((name, f"--{name.replace('_', '-')}") for name in own)
    return load_settings(values, os.environ, config, written=written)


@contextmanager
def telling_a_new_secret(settings: "Settings", tell: "Callable[[str], None]") -> Iterator[None]:
    """Say it when the token secret of the state folder is made inside: tokens of before are void, and no process with
    another state folder takes the tokens that it signs.

    Args:
        settings: those in force.
        tell: called with one line.
    """
    from stockade.shop.tokens import SECRET_FILE

    path = settings.state_path / SECRET_FILE
    was_there = path.exists()
    yield
    if not was_there and path.exists():
        tell(f"a new token secret was made: {path}; only processes with this state_dir take what it signs")


def require_brokers(settings: "Settings") -> None:
    """For commands that read the topic of commands.

    Raises:
        BadSetting: no brokers are named.
    """
    from stockade.shop.config.kafka_brokers import HOW_TO_NAME_BROKERS
    from stockade.shop.config.settings import BadSetting

    if not settings.kafka_bootstrap:
        raise BadSetting(f"kafka_bootstrap is empty: must be the brokers to ask first, {HOW_TO_NAME_BROKERS}")


def application_of(app: str | None) -> "Application":
    """The application that `--app` names; the shop without it.

    Raises:
        UnknownApplication: it cannot be imported.
    """
    from stockade.service import find_application

    return find_application(app_path(app))


def app_path(app: str | None) -> str:
    """What `--app` says, or where the shop is."""
    from stockade.shop.application import PATH

    return PATH if app is None else app


def with_database(
    settings: "Settings",
    work: "Callable[[Database], Awaitable[T]]",
    *,
    wait_s: float | None = None,
    app: str = "",
    schema: "Schema | None" = None,
    tables: "StoreTables | None" = None,
) -> "T":
    """Call `work` with the database of the settings, opened and of the present schema.

    Args:
        settings: those in force.
        work: what to do.
        wait_s: longest time of a statement in seconds, instead of the setting.
        app: how `--app` named its application, for the advice of errors; empty: the shop.
        schema: that it must have; None: the shop's.
        tables: the names of the store's tables; None: without a prefix.

    Raises:
        BadSetting, Busy, NotSupported: it cannot be opened.
    """
    import asyncio

    from stockade.shop.database import open_database
    from stockade.shop.database_checks import require_schema
    from stockade.store.schema.tables import DEFAULT

    async def run() -> "T":
        opened = await open_database(settings, wait_s=wait_s, tables=tables or DEFAULT)
        try:
            await require_schema(settings, opened, schema, app=app)
            return await work(opened)
        finally:
            await opened.close()

    return asyncio.run(run())
