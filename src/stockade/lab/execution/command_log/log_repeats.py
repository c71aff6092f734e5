"""Measures what only a strategy over a log has: when a command is accepted, when it is decided, and the lag between.

Repeats come in pairs. In the first, buyers wait for the decision, as under every strategy. In the second, they wait
only until the log has their command, and query the decision afterwards with the same request. Neighbours:
`log_workers.py` decides, `runs/runner.py` runs the repeats, `reporting/summary.py` holds the result.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from stockade.core import Command, Stats
from stockade.lab.errors import LabError
from stockade.lab.execution.command_log.log_worker import LogWorkerProgress
from stockade.lab.execution.command_log.log_workers import LogWorkers
from stockade.lab.execution.order_senders import OrderSender, SendResult, stats_since
from stockade.lab.model.repeat_result import QUEUED
from stockade.lab.reporting.summary import LogSummary, percentile
from stockade.lab.targets.target_database import TargetDatabase


class LogRepeats:
    """Runs both kinds of repeats of one run.

    Args:
        sender: sends the orders.
        log_workers: decide them.
        target: the database.
        warm_ups: repeats of each kind that do not count.
    """

    def __init__(self, sender: OrderSender, log_workers: LogWorkers, target: TargetDatabase, warm_ups: int) -> None:
        self._sender, self._log_workers, self._target = sender, log_workers, target
        self._warm_ups_left = warm_ups
        self._accepted_wall_ms: list[float] = []
        self._accepted_ms: list[float] = []
        self._lags: list[int] = []
        self._decided = self._batches = 0

    async def decide(self, commands: Sequence[Command]) -> SendResult:
        """A repeat in which buyers wait for the decision.

        Raises:
            LabError: a log worker ended.
        """
        before = await self._log_workers.progress()
        result = await self._sender.send(commands)
        after = await self._log_workers.progress()
        if not self._warm_ups_left:
            self._decided += sum(each.decided for each in after) - sum(each.decided for each in before)
            self._batches += sum(each.batches for each in after) - sum(each.batches for each in before)
        stats = _stats_between(before, after)
        stats.add(result.stats)
        return SendResult(result.responses, stats)

    async def accept(self, commands: Sequence[Command]) -> SendResult:
        """A repeat in which buyers wait until the log has the command; querying the decision is not timed.

        Raises:
            LabError: a log worker ended, or the log did not accept a command.
        """
        before = await self._log_workers.progress()
        queued = (await self._sender.send(commands, submit=True)).responses
        lag = await self._undecided(commands)
        refused = [response for response in queued if response.status != QUEUED]
        if refused:
            why = refused[0].unexpected_error or refused[0].code
            raise LabError(f"the log did not take {len(refused)} of {len(queued)} commands: {why}")
        if self._warm_ups_left:
            self._warm_ups_left -= 1
        else:
            ended_ns, began_ns = max(each.ended_ns for each in queued), min(each.began_ns for each in queued)
            self._accepted_wall_ms.append((ended_ns - began_ns) / 1e6)
            self._accepted_ms += [(each.ended_ns - each.began_ns) / 1e6 for each in queued]
            self._lags.append(lag)
        result = await self._sender.send(commands)
        stats = _stats_between(before, await self._log_workers.progress())
        # only deadlocks: the second request of each buyer takes transactions too, which are no attempts
        return SendResult(result.responses, Stats(deadlocks=stats.deadlocks))

    async def _undecided(self, commands: Sequence[Command]) -> int:
        ids = {command.request_id for command in commands}
        requests = self._target.application.tables.requests
        count = select(func.count()).select_from(requests).where(requests.c.id.in_(ids))

        def decided(connection: Connection) -> int:
            return int(connection.execute(count).scalar_one())

        return len(ids) - await self._target.admin_database.read(decided)

    def summary(self) -> LogSummary:
        """What was measured."""
        ordered = sorted(self._accepted_ms)
        return LogSummary(
            partitions=self._log_workers.partitions,
            workers=self._log_workers.workers,
            accepted_wall_ms=tuple(self._accepted_wall_ms),
            accepted_latency_ms=(percentile(ordered, 50), percentile(ordered, 95), percentile(ordered, 99)),
            orders_per_transaction=self._decided / max(1, self._batches),
            lag=max(self._lags),
        )


def _stats_between(before: Sequence[LogWorkerProgress], after: Sequence[LogWorkerProgress]) -> Stats:
    """What the workers' stores did in between."""
    stats = Stats()
    for then, now in zip(before, after, strict=True):
        stats.add(stats_since(then.stats, now.stats))
    return stats
