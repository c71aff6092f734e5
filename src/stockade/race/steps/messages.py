"""Makes a request of HTTP from one of the scenario: placeholders filled, headers of the target added.

Neighbours: every step that sends something.
"""

import json
from collections.abc import Mapping
from typing import Any

from stockade.race.http.connection import Message
from stockade.race.model.placeholders import fill, names_in
from stockade.race.model.scenario import Request, Target


def message_of(request: Request, target: Target, variables: Mapping[str, Any]) -> Message:
    """The request to send.

    A header of the target is left out while its variable has no value, as that of a token before the log-in.

    Args:
        request: with placeholders.
        target: whose headers every request has, unless the request has its own.
        variables: values of the placeholders.

    Raises:
        RaceError: a placeholder for a number has no number.
    """
    ready = {name: text for name, text in target.headers.items() if names_in(text) <= {*variables, "uuid"}}
    own = {name.lower() for name in request.headers}
    headers = {name: text for name, text in ready.items() if name.lower() not in own} | request.headers
    body = str(fill(request.body, variables)).encode()
    if request.json is not None:
        body = json.dumps(fill(request.json, variables), ensure_ascii=False).encode()
        if not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = "application/json"
    return Message(
        method=request.method.upper(),
        path=str(fill(request.path, variables)),
        headers=tuple((name, str(fill(text, variables))) for name, text in headers.items()),
        body=body,
    )
