"""A report of everything, drawn once for all tests of a worker that look at one: drawing takes most of their time."""

import tempfile
from functools import cache
from pathlib import Path

from stockade.lab.history.history_file import write_history
from stockade.lab.report.build import build
from stockade.lab.report.documents import read_source
from stockade.lab.report.html import html
from tests.lab.checkers.small_histories import fault, small
from tests.lab.report.documents import claims_document, deadlock, lab_document, ring, run, source, sweep

EVIL = "<script>console.error('script ran')</script><img src=x>" * 3  # a name that is hostile and long


@cache
def whole():
    """A report of one document of each kind and a history, with its HTML; one preset has a hostile name."""
    few = [run(name, 10.0 * n) for n, name in enumerate(("sequencer", "kafka", "unprotected", "pessimistic"), 1)]
    values = [lab_document(*few, run("pessimistic", preset=EVIL)), ring(), deadlock(), claims_document(), sweep()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_history(small(fault_log=(fault(1, "pause", "inject"), fault(3, "pause", "heal"))), folder / "h.jsonl")
        sources = [source(folder, each, f"{n}.json") for n, each in enumerate(values)]
        report = build([*sources, read_source(str(folder / "h.jsonl"))])
    return report, html(report)
