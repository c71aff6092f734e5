"""An order sender sends the buyers' commands to an open application that uses the strategy under test.

`LocalSender` does so in this process, `ProcessSender` in several (`order_processes.py`). An order sender has its own
connections, so that what the runner prepares and reads takes none of them.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from stockade.core import Command, Stats
from stockade.lab.execution.load import Barrier, send_all
from stockade.lab.execution.metered_database import ConnectionUse, MeteredDatabase
from stockade.lab.execution.payer import Payer, open_payer
from stockade.lab.execution.section import section
from stockade.lab.model.payment import PaymentConfig, PaymentMeter
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
        payment: how it pays; None: the commands are executed as they are.
        metered: the use of connections is measured.
        section_ms: how long each transaction takes between reading and writing, in milliseconds; None: as it does.
    """

    url: str
    strategy: str
    options: Options = field(default_factory=Options)
    pool_size: int = 4
    app: str = PATH
    payment: PaymentConfig | None = None
    metered: bool = False
    section_ms: float | None = None


class SendResult(NamedTuple):
    """The responses of one repeat, the store's counters for it, what was measured where buyers pay, and connections."""

    responses: list[Response]
    stats: Stats
    meter: PaymentMeter | None = None
    connections: ConnectionUse | None = None


class OrderSender(Protocol):
    """Sends the buyers' commands, all at once; with `submit` it only queues them and waits for no decision."""

    async def send(self, commands: Sequence[Command], *, submit: bool = False) -> SendResult: ...

    async def reconcile(self) -> None:
        """Finish the payments that were left open, where buyers pay."""


class LocalSender:
    """Sends commands to an application in this process.

    Args:
        service: the application.
        payer: pays in it; None: nobody does.

    Attributes:
        service: as given.
    """

    def __init__(self, service: Service, payer: Payer | None = None) -> None:
        self.service, self._payer = service, payer

    async def send(
        self, commands: Sequence[Command], *, submit: bool = False, barrier: Barrier | None = None
    ) -> SendResult:
        """Send all commands at once, after the barrier if there is one."""
        stats = self.service.store.stats
        before = Stats(**stats.as_dict())
        if self._payer is not None:
            responses = await send_all(self._payer.execute, commands, barrier)
            return SendResult(responses, stats_since(before, stats), self._payer.take_meter())
        metered = self.service.database if isinstance(self.service.database, MeteredDatabase) else None
        used = metered.use if metered else ConnectionUse()
        responses = await send_all(self.service.submit if submit else self.service.execute, commands, barrier)
        connections = metered.use - used if metered else None
        return SendResult(responses, stats_since(before, stats), connections=connections)

    async def reconcile(self) -> None:
        """See `OrderSender.reconcile`."""
        if self._payer is not None:
            await self._payer.reconcile()
            self._payer.take_meter()  # not of the next repeat


@asynccontextmanager
async def open_sender(
    config: SenderConfig, checkpoint: Callable[[str], None] | None = None
) -> AsyncIterator[LocalSender]:
    """Open an application without its background work; stop and close it again.

    Args:
        config: what to open.
        checkpoint: called at each fault point of the store; not where the section has a length.
    """
    application = find_application(config.app)
    kind = MeteredDatabase if config.payment is not None or config.metered else Database
    if config.section_ms is not None:
        checkpoint = section(config.section_ms)
    database = await kind.open(
        config.url, pool_size=config.pool_size, wait_s=config.options.wait_s, tables=application.tables
    )
    try:
        async with AsyncExitStack() as stack:
            opening = open_service(
                application,
                database,
                config.strategy,
                config.options,
                allow_overselling=True,  # the negative controls must be able to fail
                checkpoint=checkpoint,
            )
            service, payer = await stack.enter_async_context(opening), None
            if config.payment is not None:
                paying = open_payer(service, config.payment, config.options.wait_s, checkpoint)
                payer = await stack.enter_async_context(paying)
            yield LocalSender(service, payer)
    finally:
        await database.close()


def stats_since(before: Stats, now: Stats) -> Stats:
    """What the counters have grown by."""
    earlier = before.as_dict()
    return Stats(**{name: count - earlier[name] for name, count in now.as_dict().items()})
