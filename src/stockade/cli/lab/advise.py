"""`stockade lab advise`: which strategy for which resource under which load. `stockade.lab.advice` decides."""

import json
from typing import Annotated

import typer

from stockade.cli.lab.common import check_target, one_line_errors, write
from stockade.cli.lab.parts import Json, console_of, print_lines

Files = Annotated[
    list[str], typer.Argument(metavar="FILE…", help="Documents of `lab sweep` and `lab` (--json), and of `lab ring`.")
]


def advise(files: Files, *, json_to: Json = "") -> None:
    """Say which strategy to use, from measured documents alone.

    For stock, points and payments: the fastest strategy that kept its claim,
    its margin, and where another one takes over. What was not measured is
    named. One that did not keep a claim in any of the files is never advised,
    nor one at a load at which the negative control did not fail.

    Measurements are in documents of `lab sweep` and of `lab`. One of `lab ring`
    says what broke a claim, and needs one of these beside it.

    Exit code 0: there is advice, or the reason why there is none. 2: a file
    cannot be read, or no file holds measurements.
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
