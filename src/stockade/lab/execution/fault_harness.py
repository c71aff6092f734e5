"""What a fault's script uses: two service processes, the first of them the victim, and the contender's Redis servers.

A fault is triggered by a fault point of the store, not by time: there the victim stops or dies, and the script goes on.
Neighbours: `order_processes.py` are the processes, `targets/redis_node.py` the servers, the files of `aimed_faults/`
the scripts, `runs/fault_runner.py` runs them.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Sequence

from stockade.core import Command, Stats, Unknown
from stockade.lab.errors import LabError
from stockade.lab.execution.order_processes import ANSWER_WAIT_S, ProcessGroup
from stockade.lab.execution.order_senders import SenderConfig
from stockade.lab.execution.processes.messages import BeginBurst, LoadBurst, OpenService, Reconcile
from stockade.lab.execution.processes.service_process import ProcessEnded, ServiceProcess
from stockade.lab.model.burst import Burst
from stockade.lab.model.payment import PaymentMeter
from stockade.lab.model.repeat_result import FAILED, Response
from stockade.lab.targets.redis_node import RedisNode

POINT_WAIT_S = 10.0  # until the victim has reached its fault point
BLOCKED_AFTER_S = 1.0  # a buyer without a response by then is blocked by the stopped process
UNSAFE_BLOCKED_AFTER_S = 10.0  # the same for a contender that must be seen to fail: it gets all the time it needs
RETRIES = 3  # how often a buyer without a decision sends the request again


class FaultHarness(ProcessGroup):
    """Two processes that execute orders on the same rows. A context manager; leaving it ends them.

    Attributes:
        victim: the process that the fault stops or kills.
        other: the process that is not hurt.
        point: the fault point of the current repeat.
        blocked_after_s: seconds until a buyer without a response counts as blocked.
        victim_first: the others wait until the victim has met its fault: it might not reach the fault point beside
            them, e.g. because another buyer's claim to pay the same order won.
        nodes: the contender's Redis servers.
        stats: counters of both stores, without those of a killed process.
        meter: what both measured where buyers pay, without a killed process.
    """

    def __init__(self) -> None:
        super().__init__(["the victim", "the other process"])
        self.victim, self.other = self.processes
        self.point = ""
        self.blocked_after_s = BLOCKED_AFTER_S
        self.victim_first = False
        self.nodes: Sequence[RedisNode] = ()
        self.stats, self.meter = Stats(), PaymentMeter()

    async def prepare(self, config: SenderConfig, nodes: Sequence[RedisNode]) -> None:
        """Let both processes open this application.

        Raises:
            LabError: a process could not.
        """
        self.nodes, self.stats = nodes, Stats()
        await self.open(OpenService(config, fault_points=True))

    async def signal_at_point(self, what: signal.Signals) -> None:
        """Send the victim this signal when its store next reaches the fault point.

        Raises:
            LabError: it does not serve.
        """
        if not await self.victim.signal_at_point(self.point, what):
            raise LabError("the fault missed: the victim does not serve")

    def send(self, process: ServiceProcess, commands: Sequence[Command]) -> "asyncio.Task[list[Response]]":
        """Let a process execute these, all at once; if it is killed meanwhile, all responses are unknown."""
        task = asyncio.create_task(self._send(process, tuple(commands)))
        # mark the exception as read: nobody awaits the task when the run is interrupted
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return task

    async def _send(self, process: ServiceProcess, commands: tuple[Command, ...]) -> list[Response]:
        began_ns = time.monotonic_ns()
        try:
            await process.ask(LoadBurst(commands))
            result = await process.ask(BeginBurst(), ANSWER_WAIT_S)
        except ProcessEnded:
            ended_ns = time.monotonic_ns()
            return [
                Response(command.request_id, FAILED, Unknown.code, "", "", began_ns, ended_ns, unknown=True)
                for command in commands
            ]
        self.stats.add(result.stats)
        if result.meter is not None:
            self.meter.add(result.meter)
        return list(result.responses)

    async def replace_victim(self) -> None:
        """Start another process in the place of the one that was killed.

        Raises:
            LabError: the victim lives, so it did not reach the fault point; or the new one cannot open the application.
        """
        if self.victim.pid:
            raise self._missed()
        await self.victim.start()

    async def suspend_holder(self, workload: Burst, meanwhile: Callable[[], Awaitable[None]]) -> list[Response]:
        """Stop the victim while it holds the first buyer's lock, execute the other orders, then resume it.

        If the victim holds the row lock too, the second buyer is blocked: then the victim is resumed first. Unlike in a
        recording, where `leave_holder_suspended` looks for a holder under load, the first order alone makes it one.

        Args:
            workload: at least two orders.
            meanwhile: called when the victim has stopped.
        """
        first, second, *others = workload.orders
        await self.signal_at_point(signal.SIGSTOP)
        late = self.send(self.victim, [first])
        await self._wait_until_stopped(late)
        try:
            await meanwhile()
            next_in_line = self.send(self.other, [second])
            served, _ = await asyncio.wait([next_in_line], timeout=self.blocked_after_s)
            rest = await self.send(self.other, others) if served else []
        finally:
            await self.victim.resume()
        if not served:
            await next_in_line  # a process has one burst at a time
            rest = await self.send(self.other, others)
        return [*await late, *await next_in_line, *rest]

    async def reconcile(self) -> None:
        """Let the process that is not hurt finish the payments that were left open."""
        await self.other.ask(Reconcile(), ANSWER_WAIT_S)

    async def _wait_until_stopped(self, late: "asyncio.Task[list[Response]]") -> None:
        deadline = time.monotonic() + POINT_WAIT_S
        while time.monotonic() < deadline and not late.done() and self.victim.pid:
            if await self.victim.was_signalled(wait_s=0.1):
                return
        raise self._missed()

    def _missed(self) -> LabError:
        if not self.victim.pid:
            return LabError(f"the fault missed: the victim ended before the fault point {self.point!r}")
        return LabError(f"the fault missed: no order reached the fault point {self.point!r}")

    async def retry_failed(self, workload: Burst, responses: Sequence[Response]) -> list[Response]:
        """Send the requests without a decision again to the other process, as a client would.

        The new response replaces the failed one; its time counts from the first request.
        """
        commands = {command.request_id: command for command in workload.orders}
        known = list(responses)
        for _ in range(RETRIES):
            open_ = [n for n, each in enumerate(known) if each.status == FAILED and not each.unexpected_error]
            if not open_:
                break
            again = await self.send(self.other, [commands[known[n].request_id] for n in open_])
            for n, response in zip(open_, again, strict=True):
                known[n] = response._replace(began_ns=known[n].began_ns)
        return known
