"""What only a strategy over a log has to show: when a command is accepted, when it is decided, and what is in between.

Repeats come in pairs. In one the buyers wait for the decision, as under every strategy. In the other they wait only
until the log has their command, which is what seed 004 timed and asserted on, and ask for the decision afterwards with
the same request. Neighbours: `deciders` are the workers, `runner` plays the repeats, `figures` keeps the result.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from stockade.core import Command, Stats
from stockade.lab.errors import LabError
from stockade.lab.execution.executors import Crew, Played
from stockade.lab.execution.load import QUEUED
from stockade.lab.execution.log_worker import Told
from stockade.lab.execution.log_workers import Deciders
from stockade.lab.reporting.summary import LogFigures, percentile
from stockade.lab.targets.target_database import Ground
from stockade.store.schema.tables import requests


class LogMeter:
    """Plays both kinds of repeats of one run.

    Args:
        crew: takes the orders.
        deciders: decide them.
        ground: where.
        warm_ups: repeats of each kind that do not count.
    """

    def __init__(self, crew: Crew, deciders: Deciders, ground: Ground, warm_ups: int) -> None:
        self._crew, self._deciders, self._ground = crew, deciders, ground
        self._cold = warm_ups
        self._accepted_wall_ms: list[float] = []
        self._accepted_ms: list[float] = []
        self._lags: list[int] = []
        self._decided = self._batches = 0

    async def decide(self, commands: Sequence[Command]) -> Played:
        """Everyone waits for the decision.

        Raises:
            LabError: a worker ended.
        """
        before = await self._deciders.told()
        played = await self._crew.play(commands)
        after = await self._deciders.told()
        if not self._cold:
            self._decided += sum(told.decided for told in after) - sum(told.decided for told in before)
            self._batches += sum(told.batches for told in after) - sum(told.batches for told in before)
        effort = _effort(before, after)
        effort.add(played.effort)
        return Played(played.shots, effort)

    async def accept(self, commands: Sequence[Command]) -> Played:
        """Everyone waits until the log has the command; the decisions are asked for afterwards, and are not timed.

        Raises:
            LabError: a worker ended, or the log did not take a command.
        """
        before = await self._deciders.told()
        queued = (await self._crew.play(commands, submit=True)).shots
        lag = await self._undecided(commands)
        refused = [shot for shot in queued if shot.answer != QUEUED]
        if refused:
            why = refused[0].unexpected or refused[0].code
            raise LabError(f"the log did not take {len(refused)} of {len(queued)} commands: {why}")
        if self._cold:
            self._cold -= 1
        else:
            ended_ns, began_ns = max(shot.ended_ns for shot in queued), min(shot.began_ns for shot in queued)
            self._accepted_wall_ms.append((ended_ns - began_ns) / 1e6)
            self._accepted_ms += [(shot.ended_ns - shot.began_ns) / 1e6 for shot in queued]
            self._lags.append(lag)
        played = await self._crew.play(commands)
        effort = _effort(before, await self._deciders.told())
        return Played(played.shots, Stats(deadlocks=effort.deadlocks))  # transactions: asking again takes some, too

    async def _undecided(self, commands: Sequence[Command]) -> int:
        ids = {command.request_id for command in commands}
        count = select(func.count()).select_from(requests).where(requests.c.id.in_(ids))

        def decided(connection: Connection) -> int:
            return int(connection.execute(count).scalar_one())

        return len(ids) - await self._ground.control.read(decided)

    def figures(self) -> LogFigures:
        """What was measured."""
        ordered = sorted(self._accepted_ms)
        return LogFigures(
            partitions=self._deciders.partitions,
            workers=self._deciders.workers,
            accepted_wall_ms=tuple(self._accepted_wall_ms),
            accepted_latency_ms=(percentile(ordered, 50), percentile(ordered, 95), percentile(ordered, 99)),
            orders_per_transaction=self._decided / max(1, self._batches),
            lag=max(self._lags),
        )


def _effort(before: Sequence[Told], after: Sequence[Told]) -> Stats:
    """What the workers' stores did in between."""
    effort = Stats()
    for then, now in zip(before, after, strict=True):
        earlier = then.effort.as_dict()
        effort.add(Stats(**{name: count - earlier[name] for name, count in now.effort.as_dict().items()}))
    return effort
