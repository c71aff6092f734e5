"""An order sender sends the buyers' commands to an open application that uses the strategy under test.

`LocalSender` does so in this process, `ProcessSender` in several (`child_processes.py`). An order sender has its own
connections, so that what the runner prepares and reads takes none of them.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from stockade.core import Command, Stats
from stockade.lab.execution.load import Barrier, send_all
from stockade.lab.model.repeat_result import Response
from stockade.service import Service, find_application, open_service
from stockade.shop.application import PATH
from stockade.store import Database
from stockade.strategies.options import Options


@dataclass(frozen=True, slots=True)
class SenderConfig:
    """Everything a process needs to open an application and send orders to it.

    Attributes:
        url: of the database.
        strategy: its name in the registry.
        options: its parameters.
        pool_size: connections of each process.
        app: where the process finds the application, `MODULE:ATTRIBUTE`.
    """

    url: str
    strategy: str
    options: Options = field(default_factory=Options)
    pool_size: int = 4
    app: str = PATH


class SendResult(NamedTuple):
    """The responses of one repeat, and the store's counters for it."""

    responses: list[Response]
    stats: Stats


class OrderSender(Protocol):
    """Sends the buyers' commands, all at once; with `submit` it only queues them and waits for no decision."""

    async def send(self, commands: Sequence[Command], *, submit: bool = False) -> SendResult: ...


class LocalSender:
    """Sends commands to an application in this process."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def send(
        self, commands: Sequence[Command], *, submit: bool = False, barrier: Barrier | None = None
    ) -> SendResult:
        """Send all commands at once, after the barrier if there is one."""
        stats = self._service.store.stats
        before = Stats(**stats.as_dict())
        responses = await send_all(self._service.submit if submit else self._service.execute, commands, barrier)
        return SendResult(responses, stats_since(before, stats))


@asynccontextmanager
async def open_sender(
    config: SenderConfig, checkpoint: Callable[[str], None] | None = None
) -> AsyncIterator[LocalSender]:
    """Open an application without its background work; stop and close it again.

    Args:
        config: what to open.
        checkpoint: called at each fault point of the store.
    """
    application = find_application(config.app)
    database = await Database.open(
        config.url, pool_size=config.pool_size, wait_s=config.options.wait_s, tables=application.tables
    )
    try:
        async with open_service(
            application,
            database,
            config.strategy,
            config.options,
            allow_overselling=True,  # the negative controls must be able to fail
            checkpoint=checkpoint,
        ) as service:
            yield LocalSender(service)
    finally:
        await database.close()


def stats_since(before: Stats, now: Stats) -> Stats:
    """What the counters have grown by."""
    earlier = before.as_dict()
    return Stats(**{name: count - earlier[name] for name, count in now.as_dict().items()})
