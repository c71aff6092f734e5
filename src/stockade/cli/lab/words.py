"""`stockade lab` and its words. A new word is one file in this folder and one line here."""

import typer

from stockade.cli.lab.burst import lab
from stockade.cli.lab.record import record

app = typer.Typer(
    name="lab", invoke_without_command=True, callback=lab, subcommand_metavar="[WORD]…", rich_markup_mode=None
)
app.command()(record)
