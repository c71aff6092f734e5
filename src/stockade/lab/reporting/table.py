"""The lab's table: each row is printed when its strategy has finished, a progress line below, notes at the end.

A printed row never changes, so that a pipe and a terminal show the same; only a terminal breaks notes at its width.
Neighbours: `runs/runner.py` calls it, `columns.py` defines what a row shows.
"""

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from stockade.lab.model.preset import Variant
from stockade.lab.reporting.column import Cell, Column
from stockade.lab.reporting.columns import NAME_WIDTH, columns, log_lines
from stockade.lab.reporting.summary import RunSummary
from stockade.lab.targets.target_database import TargetDatabase

PUBLISHED = (
    "published: wall time in the Kotlin project's report: one cold run of each on another machine, for the ranking only"
)
PUBLISHED_KAFKA = "published of kafka: until accepted, so it compares with accepted; the others compare with decided"


class LiveTable:
    """Shows a run while it happens. A context manager.

    Args:
        console: where to print.
        processes: how many execute orders, for the headline.
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
        """Show in the progress line what takes time before the first repeat."""
        self._progress.update(self._task, description=what, total=None)

    def variant(self, name: str, variant: Variant, target: TargetDatabase, *, rows: bool = True) -> None:
        """Print the headline of a variant and, if rows will follow, the heads of its columns."""
        self._print_notes()
        self._columns = columns(variant, self._console.width, self._name_width)
        processes = "one process" if self._processes == 1 else f"{self._processes} processes"
        self._print(f"\n[bold]{name}[/] on {target.name}, {processes}: {variant.summary}", markup=True)
        if not rows:
            return
        self._print_line([column.head for column in self._columns], style="bold underline")
        if any(column.head == "published" for column in self._columns):
            self._notes.append(PUBLISHED)

    def progress(self, strategy: str, done: int, total: int) -> None:
        """Move the progress line."""
        self._progress.update(self._task, description=strategy, completed=done, total=total)

    def row(self, run: RunSummary) -> None:
        """Print a finished strategy, and below it the first violation and the reason of its verdict."""
        self._print_line([column.cell(run) for column in self._columns])
        if run.log is not None and run.published_ms:
            self._notes.append(PUBLISHED_KAFKA)
        first = [f"{run.violations[0].rule}: {run.violations[0].detail}"] if run.violations else []
        for text in (*log_lines(run), *first, run.judgement.reason):
            if text:
                self._print(f"    {text}", style="dim")

    def left_out(self, strategy: str, reason: str) -> None:
        """Note what does not run here; notes are printed at the end of the variant."""
        self._notes.append(f"left out: {strategy}: {reason}")

    def _print_line(self, cells: Sequence[Cell], style: str = "") -> None:
        line = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False)
        for column in self._columns:
            line.add_column(width=column.width, justify="left" if column.left else "right", overflow="fold")
        line.add_row(*cells, style=style)
        self._console.print(line)

    def _print_notes(self) -> None:
        for note in self._notes:
            self._print(f"  {note}", style="dim")
        self._notes = []

    def _print(self, text: str, *, markup: bool = False, style: str = "") -> None:
        whole = not self._console.is_terminal
        self._console.print(text, highlight=False, markup=markup, style=style, soft_wrap=whole)
