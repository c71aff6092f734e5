"""Step 4 of a round: read what the invariants compare, over HTTP and by SQL.

Neighbours: `sql.py` reads databases; `verdict.py` compares.
"""

from collections.abc import Mapping
from typing import Any

from stockade.race.errors import RaceError
from stockade.race.http.address import Address
from stockade.race.http.connection import exchange
from stockade.race.model.placeholders import fill
from stockade.race.model.pointers import look_up
from stockade.race.model.scenario import Read, Scenario
from stockade.race.result import Observation
from stockade.race.steps.messages import message_of
from stockade.race.steps.sql import select

_SHOWN = 300  # characters of an answer in an error


async def observe(scenario: Scenario, address: Address, variables: Mapping[str, Any]) -> dict[str, Observation]:
    """The values of all reads, by name.

    Args:
        scenario: with `reads`.
        address: of the target.
        variables: of the round.

    Raises:
        RaceError: one cannot be read; one line that names it.
    """
    found = {}
    for name, read in scenario.reads.items():
        try:
            found[name] = await _one(read, scenario, address, variables)
        except RaceError as error:
            raise RaceError(f"reads.{name}: {error}") from None
    return found


async def _one(read: Read, scenario: Scenario, address: Address, variables: Mapping[str, Any]) -> Observation:
    if read.request is None:
        found = await select(fill(scenario.database, variables), read.sql, scenario.race.timeout_s, variables)
        return Observation(found, " ".join(fill(read.sql, variables).split()))  # as people read it
    message = message_of(read.request, scenario.target, variables)
    response = await exchange(address, message, scenario.race.timeout_s)
    body = response.body[:_SHOWN].decode(errors="replace")
    if not 200 <= response.status < 300:
        raise RaceError(f"{message} gave {response.status}: {body}")
    try:
        document = response.document()
    except ValueError:
        raise RaceError(f"{message} gave no JSON: {body}") from None
    return Observation(look_up(document, read.pointer), f"{message} {read.pointer}".rstrip())
