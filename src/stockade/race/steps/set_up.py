"""Step 1 of a round: set up anew. Requests and commands in order; what they save are variables of the round.

Neighbours: `stockade.race.runner` calls it; `messages.py` makes the requests.
"""

import asyncio
import inspect
import os
from collections.abc import Mapping
from typing import Any

from stockade.race.errors import RaceError, of_the_user
from stockade.race.http.address import Address
from stockade.race.http.connection import exchange
from stockade.race.model.placeholders import fill
from stockade.race.model.pointers import look_up
from stockade.race.model.scenario import Scenario, SetUp
from stockade.race.steps.messages import message_of

_SHOWN = 300  # characters of an answer or an output in an error


async def set_up(scenario: Scenario, address: Address, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out the steps.

    Args:
        scenario: with `setup` and `prepare`.
        address: of the target.
        variables: known so far.

    Returns:
        The variables, with those that the steps save.

    Raises:
        RaceError: a step failed; one line that names it.
    """
    known = dict(variables)
    for at, step in enumerate(scenario.setup):
        try:
            known |= await (
                _command(step, scenario, known) if step.command else _request(step, scenario, address, known)
            )
        except RaceError as error:
            raise RaceError(f"setup[{at}]: {error}") from None
    if scenario.prepare:
        with of_the_user("prepare"):
            more = scenario.prepare(known)
            known |= (await more if inspect.isawaitable(more) else more) or {}
    return known


async def _request(step: SetUp, scenario: Scenario, address: Address, known: Mapping[str, Any]) -> dict[str, Any]:
    assert step.request is not None
    message = message_of(step.request, scenario.target, known)
    response = await exchange(address, message, scenario.race.timeout_s)
    right = response.status in step.status if step.status else 200 <= response.status < 300
    if not right:
        raise RaceError(f"{message} gave {response.status}: {_text(response.body)}")
    if not step.save:
        return {}
    try:
        document = response.document()
    except ValueError:
        raise RaceError(f"{message} gave no JSON to save from: {_text(response.body)}") from None
    return {name: look_up(document, pointer) for name, pointer in step.save.items()}


async def _command(step: SetUp, scenario: Scenario, known: Mapping[str, Any]) -> dict[str, Any]:
    words = [str(word) for word in fill(step.command, known)]
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=known.get("folder") or None,
            env=_environment(scenario, known),
        )
    except OSError as error:
        raise RaceError(f"{words[0]} cannot be run: {error.strerror}") from None
    try:
        async with asyncio.timeout(scenario.server.wait_s if scenario.server else scenario.race.timeout_s):
            out, err = await process.communicate()
    except TimeoutError:
        raise RaceError(f"{words[0]} did not end in time") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RaceError(f"{words[0]} ended with {process.returncode}: {_text(err or out)}")
    return {step.save_output: out.decode(errors="replace").strip()} if step.save_output else {}


def _environment(scenario: Scenario, known: Mapping[str, Any]) -> dict[str, str] | None:
    """That of the server, so that its own tools find what it has."""
    return {**os.environ, **fill(scenario.server.env, known)} if scenario.server else None


def _text(data: bytes) -> str:
    text = " ".join(data.decode(errors="replace").split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
