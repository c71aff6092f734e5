"""`stockade lab judge`: judges histories that were kept, and shows the first violation of each with its neighbours."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stockade.cli.exit_codes import FAILED, OK, UNUSABLE
from stockade.cli.lab.common import check_target, one_line_errors, write
from stockade.cli.lab.parts import Json
from stockade.cli.numbers import count
from stockade.cli.output.table import render, screen_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stockade.lab.checkers.exposure import Exposure
    from stockade.lab.checkers.violation import Violation
    from stockade.lab.history.history import History

Files = Annotated[list[Path], typer.Argument(metavar="FILE…", help="Histories, as `stockade lab record` keeps them.")]
Around = Annotated[int, count("Versions before and after the one that is wrong.", 0, 100)]
ExportTo = Annotated[
    str,
    typer.Option("--export", metavar="FILE", help="Write the calls of one history for a second checker (porcupine)."),
]


def judge(*, files: Files, around: Around = 5, export: ExportTo = "", json_to: Json = "") -> None:
    """Check histories that were kept; show where the first violation is.

    Exit code 0: no violation, whether the faults acted or not. 1: there is
    one. 2: a file cannot be read; the others are judged all the same.
    """
    with one_line_errors():
        check_target(json_to)
        check_target(export, "--export")
        if export and len(files) != 1:
            raise ValueError("--export: name one history")
        judged, unreadable = _judge_all(files, around, to_stderr=json_to == "-")
        if json_to and judged:
            write(json_to, _document(judged))
        for why in unreadable:
            typer.echo(f"error: {why}", err=True)
        if unreadable:
            raise typer.Exit(UNUSABLE)
        if export:
            _export(judged[0][1], Path(export))
    raise typer.Exit(FAILED if any(found for _, _, found in judged) else OK)


Judged = tuple[Path, "History", "list[Violation]"]


def _judge_all(files: "Sequence[Path]", around: int, *, to_stderr: bool) -> "tuple[list[Judged], list[str]]":
    """What was found in each file, and what is wrong with those that cannot be read."""
    from stockade.lab.errors import LabError

    judged, unreadable = list[Judged](), list[str]()
    for file in files:
        try:
            judged.append(_judge(file, around, to_stderr=to_stderr))
        except LabError as error:
            unreadable.append(str(error))
        except OSError as error:
            unreadable.append(f"{file}: {error.strerror}")
    return judged, unreadable


def _judge(file: Path, around: int, *, to_stderr: bool) -> Judged:
    from stockade.lab.checkers import judge_indexed
    from stockade.lab.checkers.explain import RIGHT, explain, faults_then
    from stockade.lab.checkers.exposure import exposures
    from stockade.lab.checkers.indexed_history import IndexedHistory
    from stockade.lab.checkers.not_judged import not_judged_lines
    from stockade.lab.history.history_file import read_history

    history = read_history(file)
    indexed = IndexedHistory(history)
    found = judge_indexed(indexed)
    lines = [f"{file}: {_what(history)}: {_verdict(found)}"]
    lines += [f"  {each.rule}: {each.detail}" for each in _one_of_each(found)]
    lines += [*(_exposed(each) for each in exposures(history)), *not_judged_lines(history)]
    if found:
        lines += [f"  fault then: {text}" for text in faults_then(indexed, found[0])]
        for table in explain(indexed, found[0], around):
            lines += ["", table.title, render(table.heads, table.rows, width=screen_width(), right=RIGHT)]
    typer.echo("\n".join(lines), err=to_stderr)
    return file, history, found


def _exposed(exposure: "Exposure") -> str:
    """What a fault did, in a line."""
    if exposure.why_not:
        return f"  not exposed: {exposure.fault} {exposure.why_not}"
    met = f"in place for {exposure.active_s:.1f} s, {exposure.in_flight:,} operations in flight"
    return f"  {exposure.fault} hit {', '.join(exposure.hit)}: {met}"


def _what(history: "History") -> str:
    faults = f", {'+'.join(history.faults)}" if history.faults else ""
    count_ = f"{len(history.operations):,} operations"
    return f"{history.workload}, {history.strategy} on {history.database}{faults}, seed {history.seed}, {count_}"


def _verdict(found: "Sequence[Violation]") -> str:
    from stockade.lab.checkers import MAX_OF_ONE_CHECKER

    if not found:
        return "no violation"
    more = " or more" if max(Counter(each.rule for each in found).values()) >= MAX_OF_ONE_CHECKER else ""
    return f"{len(found)}{more} violations, the first of each rule:"


def _one_of_each(found: "Sequence[Violation]") -> "list[Violation]":
    first: dict[str, Violation] = {}
    for each in found:
        first.setdefault(each.rule, each)
    return list(first.values())


def _document(judged: "Sequence[Judged]") -> str:
    import dataclasses
    import json

    from stockade.lab.history.history_file import SCHEMA

    histories: list[Any] = [
        {
            "file": str(file),
            "workload": history.workload,
            "strategy": history.strategy,
            "database": history.database,
            "faults": list(history.faults),
            "seed": history.seed,
            "operations": len(history.operations),
            "violations": [dataclasses.asdict(each) for each in found],
        }
        for file, history, found in judged
    ]
    document = {"schema": SCHEMA, "environment": dict(judged[0][1].environment), "history": histories}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _export(history: "History", target: Path) -> None:
    from stockade.lab.checkers.linearizability.export import exported
    from stockade.lab.whole_file import naming

    with naming(target), target.open("wb") as file:
        file.writelines(exported(history))
