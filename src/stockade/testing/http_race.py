"""`stockade.testing.race`: a scenario of `stockade.race` as a test, which fails where an invariant is broken.

`stockade.race` is the package that races any HTTP service; `stockade.testing.race_commands` (`command_race.py`) sends
commands to a strategy in this process, without HTTP and without invariants.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stockade.race import RaceResult, Scenario


def race(
    scenario: "str | Path | Scenario",
    *,
    target: str = "",
    rounds: int | None = None,
    environment: Mapping[str, str] | None = None,
    target_is_mine: bool = False,
) -> "RaceResult":
    """Run a scenario of `stockade race`, and fail with the answers that prove it where an invariant is broken.

    It blocks, in an event loop of its own; a test that has one calls it by `asyncio.to_thread`.

    Args:
        scenario: a `.toml` or `.py` file, the name of one that the package has, or a `stockade.race.Scenario`.
        target: the URL of a service that runs already, instead of the scenario's; its own server is not started.
        rounds: most rounds; None: the scenario's.
        environment: for `${NAME}` in the scenario, and for the server and the commands that it starts, beside that of
            the process; None: only that of the process.
        target_is_mine: the target may be another machine than this one.

    Returns:
        What happened in each round.

    Raises:
        AssertionError: an invariant did not hold; the message has the answers and the reads that prove it.
        stockade.race.RaceError: there is no verdict, e.g. a wrong field in the scenario or no server; one line.
        RuntimeError: the caller has a running event loop.
    """
    from stockade.race import load, override, run
    from stockade.race.hiding import hide
    from stockade.race.reports.text import findings

    __tracebackhide__ = True  # pytest shows the line of the test and the proof, not this function
    _refuse_a_running_loop()
    loaded = override(load(scenario, environment), target=target, rounds=rounds)
    result = asyncio.run(run(loaded, target_is_mine=target_is_mine))
    if not result.passed:
        raise AssertionError(
            hide("\n".join([f"race {result.name}: {result.target}", *findings(result)]), loaded.secrets)
        )
    return result


def _refuse_a_running_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # there is none, which is right
        return
    raise RuntimeError("race blocks: in a test with an event loop call it by asyncio.to_thread")
