"""What the words of `stockade lab` share: errors in one line, the event loop, the file of a document."""

import asyncio
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import typer

from stockade.cli.exit_codes import TERMINATED, UNUSABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")
LONGEST_SEED: Final = 2**63 - 1  # that a history can keep
LEAST_SECONDS: Final = 0.5  # of load: four phases are measured in it
MOST_SECONDS: Final = 3600.0


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the command with one line for every error, and with none on SIGTERM."""
    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except asyncio.CancelledError:
        raise typer.Exit(TERMINATED) from None
    except Exception as error:  # a driver, a server: whatever it is, there is no answer, and 1 would be one
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            raise  # not one of a server: `stockade.__main__` ends without a word
        typer.echo(f"error: {said_by(error)}", err=True)
        raise typer.Exit(UNUSABLE) from None


def said_by(error: BaseException) -> str:
    """An error in one line; one that nobody foresaw with its type."""
    from stockade.core import StockadeError
    from stockade.lab.errors import LabError

    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    text = " ".join(str(error).split())
    return text if isinstance(error, LabError | StockadeError | ValueError) else f"{type(error).__name__}: {text}"


def _nobody_reads() -> bool:
    """Whether the reader of standard output went away, as `head` does."""
    output = select.poll()
    with suppress(AttributeError, OSError, ValueError):  # None, closed, or replaced by what is no file
        output.register(sys.stdout.fileno(), 0)
    return any(what & select.POLLERR for _, what in output.poll(0))


def plural(number: int, what: str) -> str:
    """A number of things, e.g. `1 cell` and `2 cells`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def run_loop(work: "Coroutine[Any, Any, T]") -> T:
    """Run it on the kind of event loop that `serve` uses."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_cancelled_by_sigterm(work))


def run_interruptible(
    work: "Coroutine[Any, Any, T]", interrupted: "Callable[[], None]", failed: "Callable[[], None] | None" = None
) -> T:
    """Run it as `run_loop` does; if Ctrl-C or SIGTERM ends it, say what is kept and how to go on.

    Args:
        work: that plays many runs, and keeps those that are finished.
        interrupted: says it.
        failed: keeps what there is when an error ends it; None: nothing is to be done.
    """
    try:
        return run_loop(work)
    except (asyncio.CancelledError, KeyboardInterrupt):
        interrupted()
        raise
    except Exception:
        if failed is not None:
            failed()
        raise


async def _cancelled_by_sigterm(work: "Coroutine[Any, Any, T]") -> T:
    task = asyncio.current_task()
    assert task is not None
    # a cancelled task ends its servers and removes its folders
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


def check_target(target: str, option: str = "--json", *, replaced: bool = False, appended: bool = False) -> None:
    """Find out before the run whether the document can be written after it.

    Args:
        target: what the option says.
        option: its name, for the error.
        replaced: another file takes its place, so it must be a regular file or none; else it may be a pipe or a device.
            So must the one beside it, which is written first.
        appended: it is added to and read again, so it must be or lead to a regular file or none.

    Raises:
        LabError: it cannot.
    """
    from stockade.lab.errors import LabError
    from stockade.lab.whole_file import unfinished, why_not_replaced

    if target in ("", "-"):
        return
    file = Path(target).resolve() if appended else Path(target)
    if file.is_dir():
        raise LabError(f"{option} {target}: is a folder, must be a file")
    if not file.parent.is_dir():
        raise LabError(f"{option} {target}: there is no folder {file.parent}")
    for each in (file, unfinished(file)) if replaced else (file,) if appended else ():
        if why := why_not_replaced(each):
            raise LabError(f"{option} {each}: {why}")
    try:
        _try_to_write(file)
    except OSError as error:
        raise LabError(f"{option} {target}: cannot be written ({error.strerror})") from None


def _try_to_write(file: Path) -> None:
    """Open the file as the document will be; what is there stays, and what is not there is not made.

    Raises:
        OSError: it cannot be written. Only trying tells: rights do not say it of a file in /proc.
    """
    if not file.exists():
        with file.open("xb"):
            pass
        file.unlink()
    elif file.is_file():  # a pipe would wait for its reader
        with file.open("ab"):
            pass


def write(target: str, text: str) -> None:
    """Write the text into the file; `-` is standard output."""
    if target == "-":
        typer.echo(text, nl=False)
        return
    from stockade.lab.whole_file import naming

    with naming(Path(target)):
        Path(target).write_text(text, encoding="utf-8")
