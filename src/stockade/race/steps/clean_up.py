"""Last step of a round: requests that take away what the set-up has made, also where the race found something.

Neighbours: `set_up.py` made it; `stockade.race.runner` calls this. A failure changes no verdict: it is shown.
"""

from collections.abc import Mapping
from typing import Any

from stockade.race.errors import RaceError
from stockade.race.http.address import Address
from stockade.race.http.connection import exchange
from stockade.race.model.scenario import Scenario
from stockade.race.steps.messages import message_of

_SHOWN = 300  # characters of an answer


async def clean_up(scenario: Scenario, address: Address, variables: Mapping[str, Any]) -> str:
    """Send every request of `cleanup`, in order; why something was left, or an empty text.

    Args:
        scenario: with `cleanup`.
        address: of the target.
        variables: of the round.
    """
    failed = []
    for at, request in enumerate(scenario.cleanup):
        try:
            message = message_of(request, scenario.target, variables)
            response = await exchange(address, message, scenario.race.timeout_s)
        except RaceError as error:
            failed.append(f"cleanup[{at}]: {error}")
            continue
        if not 200 <= response.status < 300:
            body = " ".join(response.body[:_SHOWN].decode(errors="replace").split())
            failed.append(f"cleanup[{at}]: {message} gave {response.status}: {body}")
    return "; ".join(failed)
