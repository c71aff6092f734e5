"""A race against an HTTP service, as a test. Neighbours: `stockade.race` does it; `races.py` sends commands at once."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stockade.race import RaceResult, Scenario


def race_http(
    scenario: "str | Path | Scenario", *, environment: Mapping[str, str] | None = None, target_is_mine: bool = False
) -> "RaceResult":
    """Run a scenario of `stockade race`, and fail with the answers that prove it where an invariant is broken.

    It blocks, in an event loop of its own; a test that has one calls it by `asyncio.to_thread`.

    Args:
        scenario: a `.toml` or `.py` file, the name of one that the package has, or a `stockade.race.Scenario`.
        environment: for `${NAME}` in the scenario; None: that of the process.
        target_is_mine: the target may be another machine than this one.

    Returns:
        What happened in each round.

    Raises:
        AssertionError: an invariant did not hold; the message has the answers and the reads that prove it.
        stockade.race.RaceError: there is no verdict, e.g. a wrong field in the scenario or no server; one line.
        RuntimeError: the caller has a running event loop.
    """
    from stockade.race import load, run
    from stockade.race.reports.secrets import hide
    from stockade.race.reports.text import findings

    loaded = load(scenario, environment)
    result = asyncio.run(run(loaded, target_is_mine=target_is_mine))
    if not result.passed:
        raise AssertionError(
            hide("\n".join([f"race {result.name}: {result.target}", *findings(result)]), loaded.secrets)
        )
    return result
