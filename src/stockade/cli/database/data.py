"""`stockade migrate`, `stockade demo` and `stockade audit`: commands that use a database directly."""

from typing import TYPE_CHECKING, Annotated

import typer

from stockade.cli.common import (
    AppOption,
    ConfigOption,
    DatabaseOption,
    SetOption,
    application_of,
    fail,
    one_line_errors,
    read_settings,
    with_database,
)
from stockade.cli.exit_codes import FAILED
from stockade.cli.numbers import count

if TYPE_CHECKING:
    from stockade.service import Application
    from stockade.shop.config.settings import Settings
    from stockade.shop.demo import DemoResult


def migrate(
    database: DatabaseOption = None, app: AppOption = None, config: ConfigOption = None, settings: SetOption = None
) -> None:
    """Bring a database to the present schema; nothing happens when it is there already."""
    import asyncio

    with one_line_errors():
        chosen = read_settings(config, settings, database=database)
        before, now = asyncio.run(_migrate(chosen, application_of(app)))
        typer.echo(f"schema {now}: already current" if before == now else f"schema {before} -> {now}")


async def _migrate(settings: "Settings", application: "Application") -> tuple[str, str]:
    from stockade.shop.database import open_database
    from stockade.shop.database_checks import check_file, make_folder, require_known
    from stockade.store.schema.migrate import shown

    make_folder(settings)
    check_file(settings, may_make=True)
    schema = application.schema
    opened = await open_database(settings, tables=application.tables)
    try:
        await require_known(settings, opened, schema)
        return shown(await schema.migrate(opened)), shown(schema.newest())
    finally:
        await opened.close()


def demo(
    *,
    database: DatabaseOption = None,
    users: Annotated[int, count("user-1, user-2, … each with points.", 0, 1_000_000)] = 10,
    products: Annotated[int, count("product-1, … each with one SKU: sku-1, …", 0, 1_000_000)] = 10,
    stock: Annotated[int, count("Units of every SKU.", 0, 1_000_000_000)] = 100,
    points: Annotated[int, count("Points of every user.", 0, 1_000_000_000_000)] = 1_000_000,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Fill a database with data to play with; a second run makes nothing twice."""
    import asyncio

    from stockade.shop.demo import DemoRefused

    with one_line_errors():
        chosen = read_settings(config, settings, database=database)
        try:
            result = asyncio.run(make_demo(chosen, users, products, stock, points))
        except DemoRefused as refused:
            raise fail(str(refused)) from None
        typer.echo(f"made {result.made:,}, there before {result.there:,}")


async def make_demo(
    settings: "Settings", users: int = 10, products: int = 10, stock: int = 100, points: int = 1_000_000
) -> "DemoResult":
    """Make the data of `stockade demo`, with progress on a terminal; raises as `create_demo` and `open_shop`."""
    from functools import partial

    from rich.console import Console
    from rich.progress import Progress

    from stockade.core.clock import now_ms
    from stockade.shop.bootstrap import open_shop
    from stockade.shop.database_checks import ensure_schema
    from stockade.shop.demo import create_demo

    async with open_shop(settings, jobs=False, before=partial(ensure_schema, settings)) as shop:
        console = Console(stderr=True)  # of Progress a pipe would get an empty line
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("demo data", total=None)
            return await create_demo(
                shop.execute,
                users,
                products,
                stock,
                points,
                now_ms=now_ms(),
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )


def audit(
    *,
    database: DatabaseOption = None,
    app: AppOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    pace: Annotated[
        str,
        typer.Option(
            metavar="SHARE",
            help="Share of the time in which it works, above 0 and up to 1: 0.25 works 1 s and rests 3 s.",
        ),
    ] = "1.0",
    progress: Annotated[
        bool, typer.Option("--progress", help="A line for each step on stderr, also when it is no terminal.")
    ] = False,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Check every invariant of a live database by summation.

    Exit code 0: all hold. 1: one is broken. 2: it cannot tell.
    """
    import msgspec

    from stockade.cli.output.report import print_audit, showing
    from stockade.shop.application import APPLICATION
    from stockade.shop.audit import LongAudit
    from stockade.shop.audit.long_audit import MAX_WAIT_S

    share = _share(pace)
    with one_line_errors():
        chosen = read_settings(config, settings, database=database)
        application = application_of(app)
        if application is not APPLICATION:
            raise typer.Exit(_audit_of(application, app or "", chosen, as_json=as_json))
        with showing(progress) as show:
            figures, found = with_database(
                chosen, lambda opened: LongAudit(opened.read, pace=share, progress=show).run(), wait_s=MAX_WAIT_S
            )
        if as_json:
            violations = [each._asdict() for each in found]
            document = {"ok": not found, "violations": violations, "summary": figures}
            typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
        else:
            print_audit(figures, found)
    raise typer.Exit(FAILED if found else 0)


def _share(pace: str) -> float:
    """The value of --pace.

    Raises:
        typer.Exit: it is none.
    """
    try:
        share = float(pace)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise fail(f"--pace must be a number above 0 and at most 1, not {pace!r}")
    return share


def _audit_of(application: "Application", app: str, settings: "Settings", *, as_json: bool) -> int:
    """Audit an application of a user's own; the exit code."""
    import msgspec

    from stockade.cli.output.report import print_violations
    from stockade.shop.audit.long_audit import MAX_WAIT_S

    found = with_database(
        settings,
        lambda opened: opened.read(application.audit, timeout_s=MAX_WAIT_S),
        wait_s=MAX_WAIT_S,
        app=app,
        schema=application.schema,
        tables=application.tables,
    )
    if as_json:
        document = {"ok": not found, "violations": [each._asdict() for each in found]}
        typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    else:
        print_violations(found, f"ok: the rules of {application.name} hold")
    return FAILED if found else 0
