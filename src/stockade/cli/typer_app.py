"""The whole command line, as a Typer app. Neighbour: `stockade.__main__` runs it."""

from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand

from stockade import __version__
from stockade.cli import locks as of_locks
from stockade.cli.database import dead_letters, payments, positions
from stockade.cli.database.data import audit, demo, migrate
from stockade.cli.database.retention import archive, erase_user
from stockade.cli.info import strategies, token
from stockade.cli.lab import words as of_the_lab
from stockade.cli.race import race
from stockade.cli.serving.serve import serve
from stockade.cli.worker import worker

app = typer.Typer(
    name="stockade",
    help="Take orders under concurrency, exactly right, at full speed, and prove it.",
    epilog="Exit codes: 0 done, 1 the answer is no, 2 it cannot be done. Documents: docs/reference/cli.md.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,  # plain help keeps whole words in a narrow terminal
    pretty_exceptions_enable=False,
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


class Completion(NamedTuple):
    """A word that the shell may put in. Click's own class has another place in every version of Typer."""

    value: str
    help: str
    type: str = "plain"


class Locks(TyperCommand):
    """Completes the options of a parser that Typer does not know."""

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """The options that begin so; names of locks are not looked up."""
        known = of_locks.parser().options()
        return [Completion(name, about) for name, about in known.items() if incomplete and name.startswith(incomplete)]


def locks(words: Annotated[list[str] | None, typer.Argument(metavar="[NAME]…")] = None) -> None:
    """Hand the words to the parser of `stockade locks`, which needs no Typer."""
    raise typer.Exit(of_locks.main(words or []))


for command in (serve, worker, migrate, token, demo, audit, erase_user, archive, strategies, race):
    app.command()(command)
app.command(cls=Locks, help=of_locks.ABOUT, add_help_option=False, context_settings={"ignore_unknown_options": True})(
    locks
)
for group in (dead_letters.app, positions.app, payments.app, of_the_lab.app):
    app.add_typer(group)
