"""The table of the mutants, measured: `python -m tests.lab.mutants` writes it into docs/evidence.md."""

from tests.docs.site import ROOT
from tests.lab.mutants import locks, log, relay, shop, strategies

PAGE = ROOT / "docs" / "evidence.md"
BEGIN, END = "<!-- mutants: begin -->", "<!-- mutants: end -->"
HEAD = """\
# Evidence

## Mutants

A checker that has never failed proves nothing. So bugs are planted, one at a time, and the rule beside each must find
it; without the bug the same histories are clean. `python -m tests.lab.mutants` plays them and writes this table. The
last column says how many operations were played until the rule found the bug.
"""
MUTANTS = (*strategies.MUTANTS, *log.MUTANTS, *relay.MUTANTS, *locks.MUTANTS, *shop.MUTANTS)


def table() -> str:
    """Mutant, rule and the operations that it took, as Markdown.

    Raises:
        AssertionError: a mutant was not caught.
    """
    lines = ["| planted bug | what it does | caught by | operations |", "|---|---|---|---:|"]
    for mutant in MUTANTS:
        found = mutant.find()
        assert found is not None, f"{mutant.name} was not caught"
        lines.append(f"| {mutant.name} | {mutant.summary} | `{mutant.rule}` | {found.operations} |")
    return "\n".join(lines)


def write() -> None:
    """Replace the table in the page; make the page where there is none."""
    text = PAGE.read_text() if PAGE.exists() else f"{HEAD}\n{BEGIN}\n{END}\n"
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, f"{PAGE.name} has no line {BEGIN}"
    assert end, f"{PAGE.name} has no line {END}"
    PAGE.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}")
