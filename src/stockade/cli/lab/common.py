"""What the words of `stockade lab` share: errors in one line, the event loop, the file of a document."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from stockade.cli.exit_codes import TERMINATED, UNUSABLE

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the command with one line for errors that a user can do something about, and with none on SIGTERM."""
    from stockade.core import StockadeError
    from stockade.lab.errors import LabError

    try:
        yield
    except (LabError, StockadeError, ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(UNUSABLE) from None
    except asyncio.CancelledError:
        raise typer.Exit(TERMINATED) from None


def run_loop(work: "Coroutine[Any, Any, T]") -> T:
    """Run it on the kind of event loop that `serve` uses."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_cancelled_by_sigterm(work))


async def _cancelled_by_sigterm(work: "Coroutine[Any, Any, T]") -> T:
    task = asyncio.current_task()
    assert task is not None
    # a cancelled task ends its servers and removes its folders
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


def check_target(target: str, option: str = "--json") -> None:
    """Find out before the run whether the document can be written after it.

    Args:
        target: what the option says.
        option: its name, for the error.

    Raises:
        LabError: it cannot.
    """
    from stockade.lab.errors import LabError

    if target in ("", "-"):
        return
    file = Path(target)
    if file.is_dir():
        raise LabError(f"{option} {target}: is a folder, must be a file")
    if not file.parent.is_dir():
        raise LabError(f"{option} {target}: there is no folder {file.parent}")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise LabError(f"{option} {target}: this user may not write there")


def write(target: str, text: str) -> None:
    """Write the text into the file; `-` is standard output."""
    if target == "-":
        typer.echo(text, nl=False)
    else:
        Path(target).write_text(text, encoding="utf-8")
