"""`stockade race`: a scenario in, a verdict out. `stockade.race` does the work, and is imported when it runs.

Neighbour: `typer_app.py` has the list of commands.
"""

import asyncio
import signal
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from stockade.cli.common import fail
from stockade.cli.exit_codes import FAILED, OK, TERMINATED, UNUSABLE
from stockade.cli.lab.common import check_target, write
from stockade.cli.numbers import count
from stockade.cli.output.lines import say
from stockade.cli.output.table import render, screen_width

if TYPE_CHECKING:
    from stockade.race import Loaded, RaceResult

T = TypeVar("T")
NOT_ENDED = "the race has not ended"

Source = Annotated[str, typer.Argument(metavar="SCENARIO", help="A .toml or .py file, or a name of --list.")]
List = Annotated[bool, typer.Option("--list", help="List the scenarios of the package and exit.")]
Url = Annotated[
    str, typer.Option("--target", metavar="URL", help="Race this service instead, e.g. http://127.0.0.1:8000.")
]
Mine = Annotated[bool, typer.Option("--target-is-mine", help="The target may be another machine: it is yours.")]
Buyers = Annotated[int | None, count("Requests of a round; default: the scenario's.", 2, 10_000)]
Rounds = Annotated[int | None, count("Most rounds; default: the scenario's.", 1, 1_000)]
Rate = Annotated[int | None, count("Requests for each second instead of all at once; 0: all at once.", 0, 100_000)]
Json = Annotated[str, typer.Option("--json", metavar="FILE", help="Write the JSON document; - is standard output.")]
JUnit = Annotated[str, typer.Option("--junit", metavar="FILE", help="Write JUnit XML, a test case for each invariant.")]


def race(
    *,
    scenario: Source = "",
    show_list: List = False,
    target: Url = "",
    target_is_mine: Mine = False,
    buyers: Buyers = None,
    rounds: Rounds = None,
    rate: Rate = None,
    json_to: Json = "",
    junit_to: JUnit = "",
) -> None:
    """Fire requests at an HTTP service at the same moment; check its invariants.

    The scenario says how to set up, what is sent, and what must hold. Rounds
    are repeated until one finds a violation. docs/race.md has every field.

    Exit code 0: every invariant held. 1: one did not; the answers that prove
    it are printed. 2: there is no verdict.
    """
    if show_list:
        return _print_list()
    from stockade.lab.errors import LabError
    from stockade.race import RaceError, load, override
    from stockade.race.files.load import name_of

    name = name_of(scenario)
    try:
        if not scenario:
            raise RaceError("which scenario? A .toml or .py file, or a name of `stockade race --list`")
        check_target(json_to)
        check_target(junit_to, "--junit")
        # whatever ends this process now, nobody takes the report of an earlier race for that of this one
        _write_no_verdict(name, NOT_ENDED, json_to, junit_to, to_stdout=False)
        loaded = load(scenario)
        if loaded.scenario.name != name:  # of a Python file, or one that has a secret in it
            name = loaded.scenario.name
            _write_no_verdict(name, NOT_ENDED, json_to, junit_to, to_stdout=False)
        loaded = override(loaded, target=target, buyers=buyers, rounds=rounds, rate_per_s=rate)
        result = _run_loop(_run(loaded, target_is_mine=target_is_mine, to_stderr="-" in (json_to, junit_to)))
    except (RaceError, LabError) as error:
        _write_no_verdict(name, str(error), json_to, junit_to)
        raise fail(str(error), UNUSABLE) from None
    except asyncio.CancelledError:
        raise typer.Exit(TERMINATED) from None
    _write(result, loaded, json_to, junit_to)
    raise typer.Exit(OK if result.passed else FAILED)


async def _run(loaded: "Loaded", *, target_is_mine: bool, to_stderr: bool) -> "RaceResult":
    """Run it and show each round when it is over."""
    from stockade.race import run
    from stockade.race.hiding import hide
    from stockade.race.reports.text import findings, heading, round_line

    def show(line: str) -> None:
        say(hide(line, loaded.secrets), err=to_stderr)

    name, fire, begun = loaded.scenario.name, loaded.scenario.race, False

    def start(url: str) -> None:
        nonlocal begun
        if not begun:
            show(heading(name, fire.buyers, fire.rounds, fire.rate_per_s, url))
        begun = True

    result = await run(
        loaded,
        target_is_mine=target_is_mine,
        on_start=start,
        on_round=lambda done: show(round_line(done, open_loop=bool(fire.rate_per_s))),
    )
    for line in findings(result):
        show(line)
    return result


def _write(result: "RaceResult", loaded: "Loaded", json_to: str, junit_to: str) -> None:
    from stockade.race.reports.json_document import json_text
    from stockade.race.reports.junit import junit_text

    if json_to:
        write(json_to, json_text(result, loaded.secrets))
    if junit_to:
        write(junit_to, junit_text(result, loaded.secrets))


def _write_no_verdict(name: str, reason: str, json_to: str, junit_to: str, *, to_stdout: bool = True) -> None:
    from stockade.race.reports import json_document, junit

    for target, text_of in ((json_to, json_document.without_verdict), (junit_to, junit.without_verdict)):
        with suppress(OSError):  # a target that cannot be written has its own line of error
            if target and (to_stdout or target != "-"):
                write(target, text_of(name, reason))


def _print_list() -> None:
    from stockade.race import load, shipped

    rows = [(name, load(name).scenario.about) for name in shipped()]
    typer.echo(render(("scenario", "what it races"), rows, width=screen_width()))


def _run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run it; SIGTERM cancels it, which ends the server that it has started."""

    async def cancelled_by_sigterm() -> T:
        task = asyncio.current_task()
        assert task is not None
        if threading.current_thread() is threading.main_thread():  # no other thread may handle signals
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    return asyncio.run(cancelled_by_sigterm())
