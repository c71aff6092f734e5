"""`stockade lab advise`: which strategy for which resource under which load. `stockade.lab.advice` decides."""

import json
from typing import Annotated

import typer

from stockade.cli.lab.common import check_target, one_line_errors, write
from stockade.cli.lab.parts import console_of, print_lines

Files = Annotated[
    list[str], typer.Argument(metavar="FILE…", help="Documents of `lab sweep`, `lab` and `lab ring` (--json).")
]
Json = Annotated[
    str, typer.Option("--json", metavar="FILE", help="Write the JSON document to this file; - is standard output.")
]


def advise(files: Files, *, json_to: Json = "") -> None:
    """Say which strategy to use, from measured documents alone.

    For stock, points and payments: the fastest strategy that kept its claim,
    its margin, and where another one takes over. What was not measured is
    named. One that did not keep a claim in any of the files is never advised,
    nor one at a load at which the negative control did not fail.

    Exit code 0: it could be read. 2: a file could not.
    """
    from stockade.lab.advice.advisor import advise as decide
    from stockade.lab.advice.lines import as_json, lines_of
    from stockade.lab.advice.measurements import read_measurements
    from stockade.lab.history.history_file import SCHEMA
    from stockade.lab.reporting.environment import describe_machine

    with one_line_errors():
        check_target(json_to)
        measured = read_measurements(files)
        found = decide(measured)
        print_lines(console_of(json_to), lines_of(found, measured))
        if json_to:
            document = {"schema": SCHEMA, "environment": describe_machine(), "advice": as_json(found)}
            write(json_to, json.dumps(document, indent=2) + "\n")
