"""What the commands share: options that become settings, and one-line errors instead of tracebacks.

Neighbours: every file of `cli`; `shop.settings_load` reads the other sources.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from stockade.shop.config.settings import Settings
    from stockade.store import Database

T = TypeVar("T")

UNUSABLE = 2  # exit code: something given cannot be used
FAILED = 1

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


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what a user can do something about into one line on standard error and an exit code."""
    from sqlalchemy.exc import DBAPIError

    from stockade.cli.advice import advice
    from stockade.core import Busy, NotSupported, StockadeError
    from stockade.drivers.failures import describe
    from stockade.shop.config.settings import BadSetting

    try:
        yield
    except (BadSetting, NotSupported) as error:
        raise fail(f"{error}{advice(str(error))}") from None
    except Busy as error:
        raise fail(f"{error.code}: {error}{advice(str(error))}") from None
    except StockadeError as error:
        raise fail(f"{error.code}: {error}", FAILED) from None
    except DBAPIError as error:  # of a kind that no room below knows a better word for
        said = describe(error)
        raise fail(f"the database refuses this: {said}{advice(said)}") from None


def fail(reason: str, code: int = UNUSABLE) -> typer.Exit:
    """Say why in one line; the caller raises what this returns."""
    first_line, *_ = reason.splitlines() or [""]
    typer.echo(f"error: {first_line}", err=True)
    return typer.Exit(code)


def read_settings(config: str | None, pairs: list[str] | None, **flags: object) -> "Settings":
    """The settings of a command.

    Args:
        config: path of a TOML file.
        pairs: `NAME=VALUE` each.
        flags: settings with options of their own; None where not given.

    Raises:
        BadSetting: see `load_settings`; or a pair without `=`.
    """
    import os

    from stockade.core.secrets import hide_password
    from stockade.shop.config.load import load_settings
    from stockade.shop.config.settings import BadSetting

    given: dict[str, object] = {}
    written: dict[str, str] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise BadSetting(f"--set {hide_password(pair)}: must be NAME=VALUE")
        name = name.strip().replace("-", "_")
        given[name], written[name] = value, f"--set {name}"
    own = {name: value for name, value in flags.items() if value is not None}
    given.update(own)
    written.update((name, f"--{name.replace('_', '-')}") for name in own)
    return load_settings(given, os.environ, config, written=written)


def require_brokers(settings: "Settings") -> None:
    """For commands that read the log.

    Raises:
        BadSetting: no brokers are named.
    """
    from stockade.shop.config.settings import BadSetting

    if not settings.kafka_bootstrap:
        where = "--set kafka_bootstrap=HOST:PORT or STOCKADE_KAFKA_BOOTSTRAP"
        raise BadSetting(f"kafka_bootstrap is empty: must be the brokers to ask first, by {where}")


def with_database(settings: "Settings", work: "Callable[[Database], Awaitable[T]]") -> "T":
    """Do this with the database of the settings, open and of the present schema.

    Raises:
        BadSetting, Busy, NotSupported: it cannot be opened.
    """
    import asyncio

    from stockade.shop.database import open_database
    from stockade.shop.schema import require_schema

    async def run() -> "T":
        opened = await open_database(settings)
        try:
            await require_schema(settings, opened)
            return await work(opened)
        finally:
            await opened.close()

    return asyncio.run(run())
