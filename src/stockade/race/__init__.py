"""A race against any HTTP service: many requests at the same moment, and invariants that must hold afterwards.

A scenario (`load`) is run (`run`) and gives a `RaceResult`. docs/race.md has the tutorial and every field. Neighbours:
`stockade.cli.race` is the command, the function `stockade.testing.race` runs a scenario in a test. Nothing here knows
the shop.
"""

from stockade.race.errors import RaceError
from stockade.race.files.load import Loaded, load, override, shipped
from stockade.race.http.connection import Response
from stockade.race.model.scenario import Fire, Matching, Read, Request, Scenario, Server, SetUp, Target
from stockade.race.result import Answer, Kind, Observation, RaceResult, Round, Violation
from stockade.race.runner import run

__all__ = [
    "Answer",
    "Fire",
    "Kind",
    "Loaded",
    "Matching",
    "Observation",
    "RaceError",
    "RaceResult",
    "Read",
    "Request",
    "Response",
    "Round",
    "Scenario",
    "Server",
    "SetUp",
    "Target",
    "Violation",
    "load",
    "override",
    "run",
    "shipped",
]
