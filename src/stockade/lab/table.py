"""The lab's table: rows printed as they finish, a progress line below, and what must be said about them at the end.

Each row is printed once and stays, so that a pipe and a terminal show the same. Neighbour: `runner` calls it.
"""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from stockade.lab.figures import Run
from stockade.lab.ground import Ground
from stockade.lab.preset import Arm
from stockade.lab.verdict import AS_PROMISED

COLD = "seed: the wall time that seed 004 published: one cold run of each on another machine, for the ranking only"


class LiveTable:
    """Shows a run while it happens. A context manager.

    Args:
        console: where to print.
        processes: how many take orders, for the headline.
    """

    def __init__(self, console: Console, processes: int) -> None:
        self._console, self._processes = console, processes
        self._published = self._deadlocks = False
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
        self._published, self._deadlocks = bool(arm.published_ms), arm.deadlocks != "any"
        processes = "one process" if self._processes == 1 else f"{self._processes} processes"
        self._console.print(f"\n[bold]{name}[/] on {ground.name}, {processes}: {arm.summary}", highlight=False)
        self._console.print(self._columns(show_header=True))

    def progress(self, strategy: str, done: int, total: int) -> None:
        """Move the progress line."""
        self._progress.update(self._task, description=strategy, completed=done, total=total)

    def row(self, run: Run) -> None:
        """Print a finished strategy."""
        line = self._columns(show_header=False)
        line.add_row(*self._cells(run))
        self._console.print(line)
        for text in _remarks(run):
            self._console.print(f"    {text}", highlight=False, markup=False, style="dim")

    def left_out(self, strategy: str, reason: str) -> None:
        """Say what does not run here."""
        self._notes.append(f"left out: {strategy}: {reason}")

    def _print_notes(self) -> None:
        for note in [*self._notes, *([COLD] if self._published else [])]:
            self._console.print(f"  {note}", highlight=False, markup=False, style="dim")
        self._notes, self._published = [], False

    def _columns(self, *, show_header: bool) -> Table:
        table = Table(box=None, show_header=show_header, padding=(0, 1, 0, 0), header_style="bold underline")
        widths = {"strategy": 12, "accepted": 8, "rejected": 8, "failed": 6, "left": 6, "violations": 10}
        for head, width in widths.items():
            table.add_column(head, width=width, justify="left" if head == "strategy" else "right")
        table.add_column("wall ms (range)", width=16, justify="right")
        if self._published:
            table.add_column("seed", width=4, justify="right")
        table.add_column("p50/p95/p99 ms", width=14, justify="right")
        table.add_column("attempts", width=8, justify="right")
        if self._deadlocks:
            table.add_column("deadlocks", width=9, justify="right")
        table.add_column("verdict", width=15)
        return table

    def _cells(self, run: Run) -> list[Text | str]:
        low, high = min(run.wall_ms), max(run.wall_ms)
        cells: list[Text | str] = [
            run.strategy,
            *(str(n) for n in (run.accepted, run.rejected, run.failed, run.left, len(run.violations))),
            f"{_short(run.wall_median_ms)} ({_short(low)}-{_short(high)})",
        ]
        if self._published:
            cells.append(_short(run.published_ms) if run.published_ms else "")
        cells += ["/".join(_short(ms) for ms in run.latency_ms), f"{run.attempts_per_order:.2f}"]
        if self._deadlocks:
            cells.append(str(run.deadlocks))
        return [*cells, _verdict(run)]


def _remarks(run: Run) -> list[str]:
    """Why the verdict is what it is: the first violation, and how often."""
    found = [f"{run.violations[0].rule}: {run.violations[0].detail}"] if run.violations else []
    return [*found, run.judgement.reason] if run.judgement.reason else found


def _verdict(run: Run) -> Text:
    if run.judgement.kept:
        return Text(run.judgement.verdict, style="green" if run.judgement.verdict == AS_PROMISED else "yellow")
    return Text(run.judgement.verdict, style="bold red")


def _short(ms: float) -> str:
    return f"{ms:.0f}" if ms >= 10 else f"{ms:.1f}"
