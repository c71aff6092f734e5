"""Runs a race: rounds until an invariant is broken or all are done, each set up anew.

The steps of a round: set up, open and prepare, release, collect, read, judge, clean up; each is a file of `steps/`.
Data flows from one to the next and never back. Neighbours: `files/load.py` gives the scenario, `reports/` show the
result.
"""

import secrets
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from stockade.devservers.process import free_port
from stockade.race.errors import RaceError, of_the_user
from stockade.race.files.load import Loaded
from stockade.race.hiding import hide_in_error
from stockade.race.http.address import Address, find, listening
from stockade.race.http.connection import Message
from stockade.race.model.placeholders import fill
from stockade.race.model.scenario import Request, Scenario
from stockade.race.result import Answer, RaceResult, Round
from stockade.race.steps.clean_up import clean_up
from stockade.race.steps.collect import fire
from stockade.race.steps.messages import message_of
from stockade.race.steps.open_loop import send_at_rate
from stockade.race.steps.reads import observe
from stockade.race.steps.release import prepared
from stockade.race.steps.server import HOST, fresh_folder, running
from stockade.race.steps.set_up import set_up
from stockade.race.steps.verdict import judge


async def run(
    loaded: Loaded,
    *,
    target_is_mine: bool = False,
    on_start: Callable[[str], None] = lambda url: None,
    on_round: Callable[[Round], None] = lambda done: None,
) -> RaceResult:
    """Run a race.

    Args:
        loaded: the scenario.
        target_is_mine: the target may be another machine.
        on_start: called with the URL of the target, for each server that is started.
        on_round: called after each round.

    Raises:
        RaceError: there is no verdict; one line.
    """
    try:
        return await _run(loaded, on_start, on_round, mine=target_is_mine)
    except RaceError as error:
        raise RaceError(hide_in_error(str(error), loaded.secrets)) from None


async def _run(
    loaded: Loaded, on_start: Callable[[str], None], on_round: Callable[[Round], None], *, mine: bool
) -> RaceResult:
    scenario = loaded.scenario
    numbers = range(1, scenario.race.rounds + 1)
    alone = scenario.server is not None and scenario.server.each_round
    rounds: list[Round] = []
    url = ""
    for group in [[number] for number in numbers] if alone else [numbers]:
        async with _target(loaded, mine=mine) as (address, variables):
            url = address.url
            on_start(url)
            for number in group:
                rounds.append(await _round(loaded, address, number, variables))
                on_round(rounds[-1])
                if rounds[-1].violations:
                    break
        if rounds[-1].violations:
            break
    return RaceResult(
        name=scenario.name,
        target=url,
        buyers=scenario.race.buyers,
        most_rounds=scenario.race.rounds,
        rate_per_s=scenario.race.rate_per_s,
        invariants={**scenario.invariants, **dict.fromkeys(scenario.checks, "a function")},
        rounds=rounds,
        keys=scenario.race.keys,
    )


@asynccontextmanager
async def _target(loaded: Loaded, *, mine: bool) -> AsyncIterator[tuple[Address, dict[str, Any]]]:
    """The target, started if the scenario starts it, and the first variables.

    Raises:
        RaceError: it is not to be raced, or does not start.
    """
    scenario = loaded.scenario
    variables: dict[str, Any] = {"run": secrets.token_hex(4), "python": sys.executable, "here": str(loaded.here)}
    if scenario.server is None:
        address = await _address(scenario, variables, loaded.here, mine=mine)
        yield await listening(address) or address, variables
        return
    async with fresh_folder() as folder:
        variables |= {"folder": str(folder), "port": free_port()}
        address = await _address(scenario, variables, loaded.here, mine=mine)
        async with running(scenario.server, address, variables, loaded.environment) as found:
            yield found, variables


async def _address(scenario: Scenario, variables: Mapping[str, Any], here: Path, *, mine: bool) -> Address:
    url = scenario.target.url or f"http://{HOST}:{{port}}"
    ca_file = scenario.target.ca_file and str(here / fill(scenario.target.ca_file, variables))
    return await find(str(fill(url, variables)), mine=mine, ca_file=ca_file)


async def _round(loaded: Loaded, address: Address, number: int, known: Mapping[str, Any]) -> Round:
    """One round, step by step.

    Raises:
        RaceError: there is no verdict.
    """
    scenario = loaded.scenario
    keys = scenario.race.keys or scenario.race.buyers
    variables = await set_up(scenario, address, {**known, "round": number}, loaded.hide_saved, loaded.environment)
    try:
        messages = [_message(loaded, variables, buyer, keys) for buyer in range(scenario.race.buyers)]
        answers, spread_s = await _send(scenario, address, messages, keys)
        reads = await observe(scenario, address, variables)
        done = judge(scenario, number, answers, reads=reads, spread_s=spread_s, keys=keys)
    except RaceError as error:
        left = await clean_up(scenario, address, variables)
        raise RaceError(f"{error}{f'; not cleaned up: {left}' if left else ''}") from error
    return replace(done, not_cleaned=await clean_up(scenario, address, variables))


def _message(loaded: Loaded, variables: Mapping[str, Any], buyer: int, keys: int) -> Message:
    """The request of one buyer. Its key is a UUID, because some services take nothing else."""
    scenario = loaded.scenario
    name = f"{variables['run']}-{variables['round']}-{buyer % keys}"
    own = {**variables, "n": buyer, "key": str(uuid.uuid5(uuid.NAMESPACE_OID, name))}
    if scenario.request_of:
        with of_the_user("request_of"):
            request = scenario.request_of(own)
        if not isinstance(request, Request):
            raise RaceError(f"request_of: must return a stockade.race.Request, not {request!r}")
        loaded.hide_in_headers(request.headers, variables)
    else:
        request = scenario.requests[buyer % len(scenario.requests)]
    return message_of(request, scenario.target, own)


async def _send(scenario: Scenario, address: Address, messages: list[Message], keys: int) -> tuple[list[Answer], float]:
    """All answers, and how far from its time a request was sent at most."""
    timeout_s, rate_per_s = scenario.race.timeout_s, scenario.race.rate_per_s
    if rate_per_s:
        return await send_at_rate(address, messages, rate_per_s=rate_per_s, keys=keys, timeout_s=timeout_s)
    async with prepared(address, messages, timeout_s) as requests:
        return await fire(requests, keys, timeout_s)
