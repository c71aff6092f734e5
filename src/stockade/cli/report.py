"""How an audit is shown to people. Neighbour: `data.audit`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from stockade.shop.audit import RULES, Summary, Violation
from stockade.shop.audit.run import Progress

PIPE_WIDTH = 140  # columns where there is no terminal to ask


@contextmanager
def showing(lines: bool) -> Iterator[Progress]:
    """What shows on stderr how far an audit is: one line that changes on a terminal; a line for each pass if asked."""
    console = Console(stderr=True)
    with console.status("summing up") as status:

        def show(rule: str, done: int, of: int) -> None:
            text = f"{done + 1}/{of} {rule.replace('_', '-')}"
            if lines:
                console.print(text, highlight=False)
            else:
                status.update(text)

        yield show


def print_audit(figures: Summary, found: Sequence[Violation]) -> None:
    """Print the figures, and the violations or that there are none."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    orders = ", ".join(f"{count:,} {status}" for status, count in figures.orders.items()) or "none"
    console.print(
        f"stock   {figures.sold:,} sold, {figures.left:,} left, {figures.reserved:,} reserved", highlight=False
    )
    console.print(f"orders  {orders}", highlight=False)
    console.print(f"points  {figures.balance:,} in {figures.accounts:,} accounts", highlight=False)
    if not found:
        console.print(f"[green]ok[/]: {len(RULES)} rules hold", highlight=False)
        return
    table = Table("rule", "subject", "expected", "found", title=f"{len(found)} violations", title_style="red")
    for each in found:
        table.add_row(each.rule, each.subject, str(each.expected), str(each.actual))
    console.print(table, markup=False)
