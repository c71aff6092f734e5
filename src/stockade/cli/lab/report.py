"""`stockade lab report`: pictures and tables of what the lab measured. `stockade.lab.report` does the work.

Neighbours: every other word of the lab, whose documents it reads.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stockade.cli.lab.common import check_target, one_line_errors, plural, write

if TYPE_CHECKING:
    from stockade.lab.report.page import Report

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE…",
        help="Documents that --json wrote, and histories (.jsonl); FILE@COMMIT names the code that measured.",
    ),
]
Output = Annotated[str, typer.Option("-o", "--output", help="Ends with .html or .md; - is HTML to standard output.")]
Pictures = Annotated[str, typer.Option(metavar="FOLDER", help="Write each chart as SVG and PNG into it.")]
Title = Annotated[str, typer.Option(help="Title of the report.")]

MARKDOWN = (".md", ".markdown")
HTML = (".html", ".htm")


def report(files: Files, *, output: Output = "report.html", pictures: Pictures = "", title: Title = "") -> None:
    """Make a report of what the lab measured: charts, tables, the answer.

    One HTML file that needs nothing else, or Markdown; docs/report.md has more.

    Exit code 0: it is written. 2: a file is no document of the lab, or charts
    cannot be drawn.
    """
    from stockade.lab.report.build import TITLE, build
    from stockade.lab.report.documents import read_sources

    with one_line_errors():
        _check(output, pictures)
        made = build(read_sources(files), title or TITLE)
        written = _write(made, output, pictures)
        said = f"{output}: {plural(len(made.sections), 'section')}, {plural(len(made.figures), 'chart')}"
        more = f"; {plural(len(written), 'picture')} in {pictures}" if written else ""
        typer.echo(said + more, err=output == "-")


def _check(output: str, pictures: str) -> None:
    """Find out before the work whether the report can be written.

    Raises:
        LabError: it cannot.
    """
    from stockade.lab.errors import LabError

    if output != "-" and not output.lower().endswith((*MARKDOWN, *HTML)):
        raise LabError(f"-o {output}: must end with .html or .md")
    check_target(output, "-o")
    if pictures and Path(pictures).exists() and not Path(pictures).is_dir():
        raise LabError(f"--pictures {pictures}: is a file, must be a folder")


def _write(made: "Report", output: str, pictures: str) -> list[Path]:
    """Write everything that is wanted; the pictures."""
    from stockade.lab.report.html import html
    from stockade.lab.report.markdown import markdown
    from stockade.lab.report.pictures import write_pictures

    in_markdown = output.lower().endswith(MARKDOWN)
    written = write_pictures(made, Path(pictures), headed=not in_markdown) if pictures else []
    if in_markdown:
        beside = os.path.relpath(pictures, Path(output).parent) if pictures else ""
        write(output, markdown(made, (lambda figure: f"{beside}/{figure.name}.svg") if pictures else None))
    else:
        write(output, html(made))
    return written
