"""`stockade lab` and its words. A new word is one file in this folder and one line here."""

import typer

from stockade.cli.lab.advise import advise
from stockade.cli.lab.burst import lab
from stockade.cli.lab.claims import claims
from stockade.cli.lab.deadlock import deadlock
from stockade.cli.lab.history import history
from stockade.cli.lab.judge import judge
from stockade.cli.lab.record import record
from stockade.cli.lab.report import report
from stockade.cli.lab.rings.ring import ring
from stockade.cli.lab.rings.soak import soak
from stockade.cli.lab.sweep import sweep

app = typer.Typer(
    name="lab", invoke_without_command=True, callback=lab, subcommand_metavar="[WORD]…", rich_markup_mode=None
)
app.command()(record)
app.command()(judge)
app.command()(history)
app.command()(ring)
app.command()(soak)
app.command()(deadlock)
app.command()(claims)
app.command()(report)
app.command()(sweep)
app.command()(advise)
