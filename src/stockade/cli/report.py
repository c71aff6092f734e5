"""How an audit is shown to people. Neighbour: `data.audit`."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from stockade.shop.audit import RULES, Summary, Violation

PIPE_WIDTH = 140  # columns where there is no terminal to ask


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
