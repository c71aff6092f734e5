"""The command line: one file per group of commands. Heavy modules are imported when a command runs.

Neighbour: `stockade.__main__` calls `app`.
"""

from typing import Annotated

import typer

from stockade import __version__
from stockade.cli import dead_letters, positions
from stockade.cli.data import audit, demo, migrate
from stockade.cli.info import strategies, token
from stockade.cli.lab import lab
from stockade.cli.locks import locks
from stockade.cli.retention import archive, erase_user
from stockade.cli.serve import serve
from stockade.cli.worker import worker

app = typer.Typer(
    name="stockade",
    help="Take orders under concurrency, exactly right, at full speed, and prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"stockade {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take orders under concurrency, exactly right, at full speed, and prove it."""


for command in (serve, worker, migrate, token, demo, audit, erase_user, archive, strategies, locks, lab):
    app.command()(command)
for group in (dead_letters.app, positions.app):
    app.add_typer(group)
