"""The lab's table: rows printed as they finish, a progress line below, and what must be said about them.

Each row is printed once and stays, so that a pipe and a terminal show the same. Neighbours: `runner` calls it,
`columns` says what a row shows.
"""

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from stockade.lab.preset import Arm
from stockade.lab.reporting.columns import NAME_WIDTH, Cell, Column, columns, log_lines
from stockade.lab.reporting.summary import Run
from stockade.lab.targets.target_database import Ground

PUBLISHED = "seed of kafka: until published, so it compares with accepted; the others compare with decided"
COLD = "seed: the wall time that seed 004 published: one cold run of each on another machine, for the ranking only"


class LiveTable:
    """Shows a run while it happens. A context manager.

    Args:
        console: where to print.
        processes: how many take orders, for the headline.
        name_width: characters of the longest strategy name.
    """

    def __init__(self, console: Console, processes: int, name_width: int = NAME_WIDTH) -> None:
        self._console, self._processes, self._name_width = console, processes, name_width
        self._columns: list[Column] = []
        self._notes: list[str] = []
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=None)

    def __enter__(self) -> "LiveTable":
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._progress.stop()
        if kind is None:
            self._print_notes()

    def waiting_for(self, what: str) -> None:
        """Something other than a repeat takes time."""
        self._progress.update(self._task, description=what, total=None)

    def arm(self, name: str, arm: Arm, ground: Ground) -> None:
        """Print the headline of an arm and the heads of its columns."""
        self._print_notes()
        self._columns = columns(arm, self._console.width, self._name_width)
        processes = "one process" if self._processes == 1 else f"{self._processes} processes"
        self._console.print(f"\n[bold]{name}[/] on {ground.name}, {processes}: {arm.summary}", highlight=False)
        self._print_line([column.head for column in self._columns], style="bold underline")
        if any(column.head == "seed" for column in self._columns):
            self._notes.append(COLD)

    def progress(self, strategy: str, done: int, total: int) -> None:
        """Move the progress line."""
        self._progress.update(self._task, description=strategy, completed=done, total=total)

    def row(self, run: Run) -> None:
        """Print a finished strategy, and below it why its verdict is what it is."""
        self._print_line([column.cell(run) for column in self._columns])
        if run.log is not None and run.published_ms:
            self._notes.append(PUBLISHED)
        first = [f"{run.violations[0].rule}: {run.violations[0].detail}"] if run.violations else []
        for text in (*log_lines(run), *first, run.judgement.reason):
            if text:
                self._console.print(f"    {text}", highlight=False, markup=False, style="dim")

    def left_out(self, strategy: str, reason: str) -> None:
        """Say what does not run here, at the end of the arm."""
        self._notes.append(f"left out: {strategy}: {reason}")

    def _print_line(self, cells: Sequence[Cell], style: str = "") -> None:
        line = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False)
        for column in self._columns:
            line.add_column(width=column.width, justify="left" if column.left else "right", overflow="fold")
        line.add_row(*cells, style=style)
        self._console.print(line)

    def _print_notes(self) -> None:
        for note in self._notes:
            self._console.print(f"  {note}", highlight=False, markup=False, style="dim")
        self._notes = []
