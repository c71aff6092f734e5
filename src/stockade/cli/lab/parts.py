"""What `ring` and `soak` share: which databases, strategies, faults and workloads take part, and where lines go."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from stockade.lab.ring.design import Parts

Databases = Annotated[
    str,
    typer.Option(metavar="NAME,…", help="postgres, mariadb, sqlite (servers are started); empty: all of them."),
]
Strategies = Annotated[
    str, typer.Option(metavar="NAME,…", help="Names, NAME:fence and NAME:bare; empty: every strategy in every form.")
]
Faults = Annotated[str, typer.Option(metavar="NAME,…", help="Names of faults, or all; empty: the usual ones.")]
Workloads = Annotated[str, typer.Option(metavar="NAME,…", help="Names of workloads; empty: all.")]
Histories = Annotated[
    str, typer.Option(metavar="FOLDER", help="Where histories of what failed are kept; made when one is.")
]
PIPE_WIDTH = 140  # columns where there is no terminal to ask


def parts_of(
    databases: str, strategies: str, faults: str, workloads: str, *, usual_faults: Sequence[str] = ()
) -> "Parts":
    """The parts that options name; all that can run on this machine where they name none.

    Args:
        databases: names separated by commas, as all of them.
        strategies: of contenders.
        faults: their names, or `all`.
        workloads: their names.
        usual_faults: those that take part where none is named; none: all.

    Raises:
        LabError: a name that there is not, or a server that this machine has not.
    """
    from stockade.lab.ring.usual_parts import DATABASES, narrowed, usual_parts

    usual = usual_parts(chosen(databases, DATABASES, "database"))
    return narrowed(
        usual,
        contenders=chosen(strategies, usual.contender_names, "strategy"),
        faults=usual_faults if not faults else chosen("" if faults == "all" else faults, usual.fault_names, "fault"),
        workloads=chosen(workloads, [each.name for each in usual.workloads], "workload"),
    )


def chosen(text: str, there: Iterable[str], kind: str) -> list[str]:
    """The names in an option; none means all.

    Raises:
        LabError: one of them does not exist; the message lists those that do.
    """
    from stockade.lab.errors import LabError

    names, known = names_in(text), list(there)
    for name in names:
        if name not in known:
            raise LabError(f"unknown {kind} {name!r}; there are: {', '.join(known)}")
    return names


def names_in(text: str) -> list[str]:
    """Names that an option separates by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def console_of(json_to: str) -> Console:
    """Where the lines go: standard error if the document goes to standard output."""
    console = Console(stderr=json_to == "-")
    return console if console.is_terminal else Console(stderr=json_to == "-", width=PIPE_WIDTH)
