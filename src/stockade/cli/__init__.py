"""The command line: one file per group of commands. What is heavy is imported when a command runs.

Neighbours: `stockade.__main__` calls `app`; `stockade.cli.lab` mounts `stockade lab`.
"""

from typing import Annotated

import typer

from stockade import __version__
from stockade.cli import dead_letters, positions
from stockade.cli.common import fail
from stockade.cli.data import audit, demo, migrate
from stockade.cli.info import strategies, token
from stockade.cli.locks import locks
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


for command in (serve, worker, migrate, token, demo, audit, strategies, locks):
    app.command()(command)
for group in (dead_letters.app, positions.app):
    app.add_typer(group)


def _mount_lab() -> None:
    """Mount `stockade lab`, or a command in its place that names the extra which it lacks."""
    try:
        from stockade.cli.lab import lab
    except ModuleNotFoundError as missing:
        lacking = missing.name

        @app.command("lab", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
        def lacking_lab() -> None:
            """Compare the strategies (needs the extra `lab`)."""
            raise fail(f"the lab needs {lacking}; install stockade[lab]")

    else:
        app.command("lab")(lab)


_mount_lab()
