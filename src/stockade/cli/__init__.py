"""The command line: one file per group of commands. Heavy modules are imported when a command runs.

`app` is imported when it is asked for, because `stockade.cli.locks` works without Typer. Neighbour:
`stockade.__main__` runs the command line.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

    app: typer.Typer


def __getattr__(name: str) -> "typer.Typer":
    """The whole command line, as `app`.

    Raises:
        AttributeError: another name.
        ModuleNotFoundError: Typer is not installed.
    """
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stockade.cli.typer_app import app

    return app
