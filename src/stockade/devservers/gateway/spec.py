"""How the test gateway is started: this Python, its module, and its options as one JSON text."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from stockade.devservers.launch import Program
from stockade.devservers.process import HOST, ServerSpec

KIND = "gateway"


def spec(port: int, options: Mapping[str, object]) -> ServerSpec:
    """How to run it.

    Args:
        port: to listen on.
        options: see `behaviour.Behaviour`; unknown ones end the start with an error.
    """
    task = json.dumps({**options, "port": port})
    return ServerSpec(
        kind=KIND,
        program=Program(Path(sys.executable)),
        arguments=("-m", "stockade.devservers.gateway.main", task),
        port=port,
        url=f"http://{HOST}:{port}",
        ready="gateway is ready",
    )
