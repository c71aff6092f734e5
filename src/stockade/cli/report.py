"""How an audit is shown to people. Neighbour: `data.audit`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from stockade.cli.common import console
from stockade.shop.audit import RULES, Summary, Violation
from stockade.shop.audit.long_audit import Progress


@contextmanager
def showing(lines: bool) -> Iterator[Progress]:
    """Shows the progress of an audit on stderr: one line that changes, or with `lines` a line for each step."""
    stderr = Console(stderr=True)
    with stderr.status("summing up") as status:

        def show(rule: str, done: int, of: int) -> None:
            text = f"{done + 1}/{of} {rule.replace('_', '-')}"
            if lines:
                stderr.print(text, highlight=False)
            else:
                status.update(text)

        yield show


def print_audit(figures: Summary, found: Sequence[Violation]) -> None:
    """Print the figures, and the violations or that there are none."""
    stdout = console(pipe_width=140)
    orders = ", ".join(f"{count:,} {status}" for status, count in figures.orders.items()) or "none"
    stdout.print(
        f"stock   {figures.sold:,} sold, {figures.left:,} left, {figures.reserved:,} reserved", highlight=False
    )
    stdout.print(f"orders  {orders}", highlight=False)
    stdout.print(f"points  {figures.balance:,} in {figures.accounts:,} accounts", highlight=False)
    print_violations(found, f"[green]ok[/]: {len(RULES)} rules hold")


def print_violations(found: Sequence[Violation], sound: str) -> None:
    """Print the violations, or a line that there are none."""
    stdout = console(pipe_width=140)
    if not found:
        stdout.print(sound, highlight=False)
        return
    table = Table("rule", "subject", "expected", "found", title=f"{len(found)} violations", title_style="red")
    for each in found:
        table.add_row(each.rule, each.subject, str(each.expected), str(each.actual))
    stdout.print(table, markup=False)
