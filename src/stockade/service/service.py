"""An open application: hands each command to the strategy of its group, and runs queries.

`open_service` makes everything from an `Application` and a database; `open_worker` makes a worker of the log.
Neighbours: `strategy_groups` chooses and registers, `background` runs beside. The shop has a bootstrap of its own,
because it reads settings.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import Connection

from stockade.core import Accepted, Command, Outcome, StockadeError, Strategy, SupportsSubmit
from stockade.kafka.options import KafkaOptions
from stockade.kafka.worker import KafkaWorker
from stockade.service.application import Application
from stockade.service.background import Background
from stockade.service.strategy_groups import Unsuitable, create_strategies, register
from stockade.store import Database, SqlStore
from stockade.store.registration import LEASE_S, Registration
from stockade.strategies.kafka import Kafka
from stockade.strategies.options import Options

__all__ = ["Count", "Service", "Unsuitable", "open_service", "open_worker"]

T = TypeVar("T")
Count = Callable[[str, str, str], None]
DEFAULT_STRATEGY = "pessimistic"


class Service:
    """An open application. `open_service` makes it.

    Attributes:
        application: what it was made from.
        database: its connections.
        store: decides and writes; its `stats` count what it did.
        strategies: by group; the group "" has the strategy of every group that has none of its own.
        registration: of its guards; None where no other process can use the database.
        count: called with (command, strategy, code) after every command; code is ACCEPTED, REPLAYED, QUEUED, the code
            of the refusal or of the error. For metrics.
    """

    def __init__(
        self,
        application: Application,
        store: SqlStore,
        strategies: Mapping[str, Strategy],
        registration: Registration | None = None,
    ) -> None:
        self.application = application
        self.store = store
        self.database = store.database
        self.strategies = dict(strategies)
        self.registration = registration
        self.count: Count = lambda command, strategy, code: None

    def strategy_of(self, command: Command) -> Strategy:
        """The strategy of a command's group.

        Raises:
            ValueError: the group has none.
        """
        found = self.strategies.get(command.strategy_group) or self.strategies.get("")
        if found is None:
            known = ", ".join(sorted(self.strategies))
            raise ValueError(
                f"{command.name} is of the group {command.strategy_group!r}, which has no strategy; there are: {known}"
            )
        return found

    async def execute(self, command: Command) -> Outcome:
        """Carry out one command.

        Raises:
            Busy, Conflict, Unknown, Pending, IdempotencyKeyReused, LockLost: see `stockade.core.Strategy.execute`.
            ValueError, TypeError: the command is wrong; the message says what to do.
        """
        strategy = self.strategy_of(command)
        code = "INTERNAL_ERROR"
        try:
            outcome = await strategy.execute(command)
            code = "REPLAYED" if outcome.replayed else "ACCEPTED" if isinstance(outcome, Accepted) else outcome.code
            self._executed(command, None)
            return outcome
        except StockadeError as error:
            code = error.code
            self._executed(command, error)
            raise
        finally:
            self.count(command.name, strategy.name, code)

    async def submit(self, command: Command) -> bool:
        """Queue one command and do not wait for its decision; False, and nothing done, where its strategy has no log.

        Raises:
            Busy, Unknown: see `stockade.core.SupportsSubmit.submit`.
        """
        strategy = self.strategy_of(command)
        if not isinstance(strategy, SupportsSubmit):
            return False
        code = "INTERNAL_ERROR"
        try:
            await strategy.submit(command)
            code = "QUEUED"
        except StockadeError as error:
            code = error.code
            raise
        finally:
            self.count(command.name, strategy.name, code)
        return True

    async def read(self, query: Callable[[Connection], T], *, timeout_s: float = 5.0) -> T:
        """Run a query on a connection of the read pool; see `Database.read`.

        Args:
            query: a synchronous function that only reads.
            timeout_s: the longest wait for a connection, and then for the result, in seconds each.

        Raises:
            Busy: no connection or no result in time, or no database.
        """
        return await self.database.read(query, timeout_s=timeout_s)

    @property
    def queued(self) -> int:
        """Commands that wait in the strategies' own queues."""
        return sum(each.depth for each in set(self.strategies.values()))

    def _executed(self, command: Command, error: StockadeError | None) -> None:
        """Called by `execute` with the error of a command, or None after an outcome; the shop logs outages here."""


@asynccontextmanager
async def open_service(
    application: Application,
    database: Database | str,
    strategy: str | Mapping[str, str] = DEFAULT_STRATEGY,
    options: Options | None = None,
    *,
    background: Background | None = None,
    allow_overselling: bool = False,
    guard_lease_s: float = LEASE_S,
    checkpoint: Callable[[str], None] | None = None,
    process: str | None = None,
) -> AsyncIterator[Service]:
    """Open an application: store, strategies, registration of guards, background work; stop all at the end.

    Args:
        application: see `Application`.
        database: open, and then the caller closes it; or a URL, see `Database.open`. Its schema must be current.
        strategy: the name of a strategy for all commands; or the name for each group, where "" is every other group.
        options: of the strategies. `options.kafka` needs only its brokers and topic: the codec is the application's.
        background: see `Background`; None: nothing runs beside, and another process has to purge and relay.
        allow_overselling: whether a strategy without protection may be used: for negative controls.
        guard_lease_s: how long the registration outlives this process, in seconds.
        checkpoint: fault point of the store, see `SqlStore`.
        process: name of the process in messages to others, see `Registration`.

    Raises:
        Unsuitable: the strategy does not exist, does not run on this database, or may oversell.
        GuardRefused: an incompatible process is running on this database.
        Busy, NotSupported, ValueError: as `Database.open`, or of a server of the strategy.
    """
    chosen = _by_group(strategy, application)
    options = with_application(options or Options(), application)
    async with AsyncExitStack() as stack:
        opened = await _opened(application, database, options, stack)
        registration = await _registration(opened, guard_lease_s, process, stack)
        store = SqlStore(opened, application.resources, checkpoint, permit=registration)
        own_queues = application.own_queues
        strategies = create_strategies(
            store, chosen, options, allow_overselling=allow_overselling, own_queues=own_queues
        )
        distinct = set(strategies.values())
        if registration is not None:
            await register(registration, distinct, allow_overselling=allow_overselling)
        for each in distinct:
            stack.push_async_callback(each.stop)
            await each.start()
        service = Service(application, store, strategies, registration)
        if background is not None:
            await stack.enter_async_context(background.run(opened, service.execute))
        yield service


def _by_group(strategy: str | Mapping[str, str], application: Application) -> dict[str, str]:
    """The name of a strategy for each group that is named, or that has a queue of its own.

    Raises:
        ValueError: there is none.
    """
    chosen = {"": strategy} if isinstance(strategy, str) else dict(strategy)
    if not chosen:
        raise ValueError("strategy names no strategy: give one name, or a mapping from groups to names")
    return {**dict.fromkeys(application.own_queues, chosen[""]), **chosen} if "" in chosen else chosen


@asynccontextmanager
async def open_worker(
    application: Application,
    database: Database | str,
    kafka: KafkaOptions,
    *,
    wait_s: float = 5.0,
    max_batch: int = 1_024,
    report: Callable[..., None] = lambda event, **fields: None,
    allow_overselling: bool = False,
    checkpoint: Callable[[str], None] | None = None,
) -> AsyncIterator[KafkaWorker]:
    """A worker that decides an application's commands in the log; `KafkaWorker.run` starts the work.

    Args:
        application: see `Application`.
        database: as for `open_service`.
        kafka: brokers, topic and group; the codec is the application's.
        wait_s: the longest one attempt at a batch may take, in seconds.
        max_batch: messages in one transaction.
        report: called with what an operator should know: an event and its fields.
        allow_overselling: as for `open_service`.
        checkpoint: fault point of the store, see `SqlStore`.

    Raises:
        GuardRefused, Busy, NotSupported, ValueError: as `open_service`.
    """
    options = with_application(Options(wait_s=wait_s, kafka=kafka), application)
    assert options.kafka is not None
    async with AsyncExitStack() as stack:
        opened = await _opened(application, database, options, stack)
        registration = await _registration(opened, LEASE_S, None, stack)
        store = SqlStore(opened, application.resources, checkpoint, permit=registration)
        if registration is not None:
            await register(registration, [Kafka(store, options)], allow_overselling=allow_overselling)
        yield KafkaWorker(store, options.kafka, max_batch=max_batch, wait_s=wait_s, report=report)


def with_application(options: Options, application: Application) -> Options:
    """The options with the application's own codec and partition key, where there is a log."""
    if options.kafka is None:
        return options
    kafka = replace(options.kafka, codec=application.codec, partition_kind=application.partition_kind)
    return replace(options, kafka=kafka)


async def _opened(
    application: Application, database: Database | str, options: Options, stack: AsyncExitStack
) -> Database:
    if isinstance(database, Database):
        if database.tables != application.tables:
            text = f"has the store's tables {database.tables}, the application {application.name} {application.tables}"
            raise ValueError(f"the database {text}: pass the same `tables` to both")
        return database
    opened = await Database.open(database, wait_s=options.wait_s, tables=application.tables)
    stack.push_async_callback(opened.close)
    return opened


async def _registration(
    database: Database, lease_s: float, process: str | None, stack: AsyncExitStack
) -> Registration | None:
    """A registration over a connection of its own, because its heartbeat must not wait behind commands.

    Over an engine of the caller it uses that engine: only the caller knows how to connect.
    """
    if database.url.get_backend_name() == "sqlite" and database.url.database in (None, "", ":memory:"):
        return None  # no other process can use it
    own = database
    if database.owns_connections:
        url = database.url.render_as_string(hide_password=False)
        own = await Database.open(url, pool_size=1, tables=database.tables)
        stack.push_async_callback(own.close)
    registration = Registration(own, lease_s, process=process)
    stack.push_async_callback(registration.close)
    return registration
