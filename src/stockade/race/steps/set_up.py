"""Step 1 of a round: set up anew. Requests and commands in order; what they save are variables of the round.

Neighbours: `stockade.race.runner` calls it; `messages.py` makes the requests.
"""

import asyncio
import inspect
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import UNAUTHORIZED
from typing import Any

from stockade.race.errors import RaceError, of_the_user
from stockade.race.http.address import Address
from stockade.race.http.connection import exchange
from stockade.race.model.placeholders import fill
from stockade.race.model.pointers import look_up
from stockade.race.model.scenario import Scenario, SetUp
from stockade.race.steps.messages import message_of
from stockade.race.steps.server import tied_to_this_process

_SHOWN = 300  # characters of an answer or an output in an error


async def set_up(
    scenario: Scenario,
    address: Address,
    variables: Mapping[str, Any],
    on_saved: Callable[[Mapping[str, Any]], None] = lambda variables: None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Carry out the steps.

    Args:
        scenario: with `setup` and `prepare`.
        address: of the target.
        variables: known so far.
        on_saved: called with what each step has saved.
        environment: variables for the commands, beside those of this process.

    Returns:
        The variables, with those that the steps save.

    Raises:
        RaceError: a step failed; one line that names it.
    """
    known = dict(variables)
    for at, step in enumerate(scenario.setup):
        try:
            saved = await (
                _command(step, scenario, known, environment or {})
                if step.command
                else _request(step, scenario, address, known)
            )
        except RaceError as error:
            raise RaceError(f"setup[{at}]: {error}") from None
        on_saved(saved)
        known |= saved
    if scenario.prepare:
        more = await _prepared(scenario.prepare, known, scenario.race.timeout_s)
        on_saved(more)
        known |= more
    return known


async def _prepared(prepare: Callable[..., Any], known: dict[str, Any], timeout_s: float) -> Mapping[str, Any]:
    """What the function of the scenario gives; only a coroutine function can be given up."""
    limit = asyncio.timeout(timeout_s)
    with of_the_user("prepare"):
        try:
            async with limit:
                more = prepare(known)
                return (await more if inspect.isawaitable(more) else more) or {}
        except TimeoutError:
            if limit.expired():
                raise RaceError(f"prepare: took more than {timeout_s:g} s") from None
            raise  # its own


async def _request(step: SetUp, scenario: Scenario, address: Address, known: Mapping[str, Any]) -> dict[str, Any]:
    assert step.request is not None
    message = message_of(step.request, scenario.target, known)
    response = await exchange(address, message, scenario.race.timeout_s)
    right = response.status in step.status if step.status else 200 <= response.status < 300
    if not right:
        raise RaceError(f"{message} gave {response.status}: {_text(response.body)}{_advice(response.status, scenario)}")
    if not step.save:
        return {}
    try:
        document = response.document()
    except ValueError:
        raise RaceError(f"{message} gave no JSON to save from: {_text(response.body)}") from None
    return {name: look_up(document, pointer) for name, pointer in step.save.items()}


async def _command(
    step: SetUp, scenario: Scenario, known: Mapping[str, Any], more: Mapping[str, str]
) -> dict[str, Any]:
    words = [str(word) for word in fill(step.command, known)]
    environment = _environment(scenario, known, more)
    found = shutil.which(words[0], path=environment.get("PATH"))
    if not found:
        raise RaceError(f"{words[0]} cannot be run: there is no such program")
    try:
        process = await asyncio.create_subprocess_exec(
            *tied_to_this_process(found, words[0]),
            *words[1:],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=known.get("folder") or None,
            env=environment,
            start_new_session=True,  # so that all that it starts can be ended
        )
    except OSError as error:
        raise RaceError(f"{words[0]} cannot be run: {error.strerror}") from None
    try:
        async with asyncio.timeout(scenario.server.wait_s if scenario.server else scenario.race.timeout_s):
            out, err = await process.communicate()
    except TimeoutError:
        raise RaceError(f"{words[0]} did not end in time") from None
    finally:
        with suppress(ProcessLookupError):  # nobody is left
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if process.returncode:
        raise RaceError(f"{words[0]} ended with {process.returncode}: {_text(err or out)}")
    return {step.save_output: out.decode(errors="replace").strip()} if step.save_output else {}


def _environment(scenario: Scenario, known: Mapping[str, Any], more: Mapping[str, str]) -> dict[str, str]:
    """That of the server, so that its own tools find what it has."""
    own = fill(scenario.server.env, known) if scenario.server else {}
    return {**os.environ, **more, **own}


def _advice(status: int, scenario: Scenario) -> str:
    """A shop that runs already knows only tokens of its own secret, which `stockade token` looks for in its folder."""
    makes_tokens = any({"stockade", "token"} <= {*step.command} for step in scenario.setup)
    if status != UNAUTHORIZED or scenario.server or not makes_tokens:
        return ""
    return "; run the race in the folder in which `stockade serve` was started, or set STOCKADE_TOKEN_SECRET"


def _text(data: bytes) -> str:
    text = " ".join(data.decode(errors="replace").split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
