"""Order processes of a burst: real processes that execute orders on the same rows at the same moment.

They live for a whole lab run and open one strategy after the other. Neighbours: `processes/` has one of them and the
wire, `runs/runner.py` uses a `ProcessSender`, `fault_harness.py` single processes, `command_log/log_workers.py` a
group.
"""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from stockade.core import Command, Stats
from stockade.lab.execution.metered_database import ConnectionUse
from stockade.lab.execution.order_senders import SenderConfig, SendResult
from stockade.lab.execution.processes.messages import BeginBurst, Close, LoadBurst, OpenService, Reconcile
from stockade.lab.execution.processes.service_process import ServiceProcess
from stockade.lab.model.payment import PaymentMeter

ANSWER_WAIT_S: Final = 120.0  # of a whole burst


class ProcessGroup:
    """Processes that end together. A context manager; leaving it ends them, by an error at once.

    Args:
        names: of the processes; each is started when it is first to open something.

    Attributes:
        processes: in the order of their names.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.processes = [ServiceProcess(name, keeps_output=False) for name in names]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        closing = (each.close(in_order=kind is None) for each in self.processes)
        found = await asyncio.gather(*closing, return_exceptions=True)
        failed = [each for each in found if isinstance(each, BaseException)]
        if failed and error is None:  # otherwise the error of the block is the reason
            raise failed[0]

    @property
    def pids(self) -> list[int]:
        """Process ids of those that run."""
        return [pid for each in self.processes if (pid := each.pid)]

    async def open(self, opening: Any) -> None:
        """Let every process open this.

        Raises:
            LabError: a process could not; the message is its own.
        """
        await asyncio.gather(*(each.open(opening) for each in self.processes))

    async def ask_all(self, message: Any) -> list[Any]:
        """Send the same message to every process and wait for all answers.

        Raises:
            LabError: a process failed, ended or did not answer; the message is its own.
        """
        return await asyncio.gather(*(each.ask(message, ANSWER_WAIT_S) for each in self.processes))


class ProcessSender(ProcessGroup):
    """An order sender that is a fixed number of processes.

    Args:
        processes: how many.
    """

    def __init__(self, processes: int) -> None:
        super().__init__([f"order process {number}" for number in range(processes)])

    async def prepare(self, config: SenderConfig) -> None:
        """Let every process open this database and strategy.

        Raises:
            LabError: a process could not; the message is its own.
        """
        await self.open(OpenService(config))

    async def close_shop(self) -> None:
        """Let every process close what it has open.

        Raises:
            LabError: a process could not; the message is its own.
        """
        await self.ask_all(Close())

    async def send(self, commands: Sequence[Command], *, submit: bool = False) -> SendResult:
        """Distribute the commands and let all processes send theirs together.

        Each has its buyers ready before any begins: otherwise the first would have finished before the second begins,
        and an in-process lock would look safe.

        Args:
            commands: one for each buyer.
            submit: only queue them.

        Raises:
            LabError: a process failed, ended or did not answer.
        """
        size = len(self.processes)
        shares = [LoadBurst(tuple(commands[number::size]), submit) for number in range(size)]
        await asyncio.gather(*(each.ask(share) for each, share in zip(self.processes, shares, strict=True)))
        results: list[SendResult] = await self.ask_all(BeginBurst())
        stats, meter = Stats(), PaymentMeter()
        for result in results:
            stats.add(result.stats)
            if result.meter is not None:
                meter.add(result.meter)
        uses = [result.connections for result in results if result.connections is not None]
        connections = sum(uses, ConnectionUse()) if uses else None
        return SendResult([response for result in results for response in result.responses], stats, meter, connections)

    async def reconcile(self) -> None:
        """Let one process finish the payments that were left open.

        Raises:
            LabError: it failed, ended or did not answer.
        """
        await self.processes[0].ask(Reconcile(), ANSWER_WAIT_S)
