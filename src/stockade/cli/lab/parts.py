"""What words that play many runs share: which databases, strategies, faults and workloads take part, where lines go."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from stockade.core import JsonValue
    from stockade.lab.model.contender import Contender
    from stockade.lab.ring.design import Parts

Databases = Annotated[
    str,
    typer.Option(metavar="NAME,…", help="postgres, mariadb, sqlite (servers are started); empty: all of them."),
]
Strategies = Annotated[
    str, typer.Option(metavar="NAME,…", help="Names, NAME:fence and NAME:bare; empty: every strategy in every form.")
]
Faults = Annotated[str, typer.Option(metavar="NAME,…", help="Names of faults, or all; empty: the usual ones.")]
Workloads = Annotated[str, typer.Option(metavar="NAME,…", help="Names of workloads, or all; empty: the usual ones.")]
Histories = Annotated[
    str, typer.Option(metavar="FOLDER", help="Where histories of what failed are kept; made when one is.")
]
Json = Annotated[
    str, typer.Option("--json", metavar="FILE", help="Write the JSON document to this file; - is standard output.")
]
Complete = Annotated[
    bool,
    typer.Option("--complete", help="For CI: begin only if nothing is missing here, and fail if a fault did not act."),
]
ALL = "all"
PIPE_WIDTH = 140  # columns where there is no terminal to ask


def parts_of(databases: str, strategies: str, faults: str, workloads: str) -> "Parts":
    """The parts that options name.

    Args:
        databases: names separated by commas; none: all that run on this machine.
        strategies: of contenders; the same.
        faults: names, or `all`; none: those of the ring.
        workloads: the same.

    Raises:
        LabError: a name that there is not, or a server that this machine has not.
    """
    from stockade.lab.ring.usual_parts import DATABASES, RING_FAULTS, RING_WORKLOADS, narrowed, usual_parts

    usual = usual_parts(chosen(databases, DATABASES, "database"))
    workload_names = [each.name for each in usual.workloads]
    return narrowed(
        usual,
        contenders=chosen(strategies, usual.contender_names, "strategy"),
        faults=_all_or(faults, usual.fault_names, "fault") if faults else RING_FAULTS,
        workloads=_all_or(workloads, workload_names, "workload") if workloads else RING_WORKLOADS,
    )


def _all_or(text: str, there: Sequence[str], kind: str) -> Sequence[str]:
    return there if text == ALL else chosen(text, there, kind)


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


def contenders_of(text: str) -> "list[Contender]":
    """The strategies that an option names, in their forms.

    Raises:
        LabError: one does not exist.
    """
    from stockade.lab.model.contender import Contender

    return [Contender.parse(name) for name in names_in(text)]


def as_given(**options: str) -> str:
    """Options as words of a command line, each with a space before it; those that were not given are left out."""
    return "".join(f" --{name} {shlex.quote(value)}" for name, value in options.items() if value)


def repeating(command: str, parts: "Parts", settings: "Mapping[str, JsonValue]") -> "dict[str, JsonValue]":
    """For a document, everything that repeats it: its settings, the command, what took part here, and the code.

    Args:
        command: that plays it again.
        parts: what took part.
        settings: seeds and times.
    """
    from stockade.lab.ring.state_file import code

    return {
        **settings,
        "command": command,
        "databases": list(parts.databases),
        "strategies": list(parts.contender_names),
        "faults": list(parts.fault_names),
        "workloads": [each.name for each in parts.workloads],
        **code(),
    }


def refuse_incomplete(left_out: Sequence[str]) -> None:
    """What `--complete` does.

    Raises:
        LabError: something is left out on this machine.
    """
    from stockade.lab.errors import LabError

    if left_out:
        raise LabError(f"--complete: this machine leaves out {'; '.join(left_out)}")


def console_of(json_to: str) -> Console:
    """Where the lines go: standard error if the document goes to standard output."""
    console = Console(stderr=json_to == "-")
    return console if console.is_terminal else Console(stderr=json_to == "-", width=PIPE_WIDTH)


def print_lines(console: Console, lines: Sequence[str]) -> None:
    """Print plain lines, however long."""
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
