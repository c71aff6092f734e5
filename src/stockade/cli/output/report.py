"""How an audit is shown to people. Neighbour: `data.audit`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import typer
from rich.console import Console

from stockade.cli.output.lines import say
from stockade.cli.output.table import render, screen_width
from stockade.shop.audit import RULES, Summary, Violation
from stockade.shop.audit.long_audit import Progress

HEADS = ("rule", "subject", "expected", "found")


@contextmanager
def showing(lines: bool) -> Iterator[Progress]:
    """Shows the progress of an audit on stderr: one line that changes, or with `lines` a line for each step."""
    stderr = Console(stderr=True)
    with stderr.status("summing up") as status:

        def show(rule: str, done: int, of: int) -> None:
            text = f"{done + 1}/{of} {rule.replace('_', '-')}"
            if lines:
                stderr.print(text, highlight=False, markup=False, soft_wrap=True)
            else:
                status.update(text)

        yield show


def print_audit(figures: Summary, found: Sequence[Violation]) -> None:
    """Print the figures, and the violations or that there are none."""
    orders = ", ".join(f"{count:,} {status}" for status, count in figures.orders.items()) or "none"
    say(f"stock   {figures.sold:,} sold, {figures.left:,} left, {figures.reserved:,} reserved")
    say(f"orders  {orders}")
    say(f"points  {figures.balance:,} in {figures.accounts:,} accounts")
    print_violations(found, f"ok: {len(RULES)} rules hold")


def print_violations(found: Sequence[Violation], sound: str) -> None:
    """Print the violations, or a line that there are none."""
    if not found:
        typer.secho(sound, fg="green")
        return
    rows = [(each.rule, each.subject, str(each.expected), str(each.actual)) for each in found]
    typer.secho(f"{len(found)} violations", fg="red")
    typer.echo(render(HEADS, rows, width=screen_width()))
