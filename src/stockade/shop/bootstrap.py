"""The composition root: settings become a database, a store, strategies and jobs, tied together as a `Shop`.

The one place that sees every room below. Neighbours: `http`, the command line and the lab's processes open a shop
here and hand it commands; what they read, they read through `Shop.read`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from sqlalchemy import Connection

from stockade.core import Accepted, Backoff, Command, Outcome, StockadeError, Strategy, SupportsSubmit
from stockade.drivers.failures import AccessRefused
from stockade.kafka.options import KafkaOptions
from stockade.kafka.worker import KafkaWorker
from stockade.locks import LockError
from stockade.shop.config.kafka_brokers import brokers_of
from stockade.shop.config.redis_servers import redis_urls
from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.config.strategy_choice import RESOURCES, check, check_servers, chosen_strategy, in_memory
from stockade.shop.guards import register
from stockade.shop.model.command_codec import COMMAND_CODEC
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.shop.operations.job_log import JobLog
from stockade.shop.operations.jobs import Purge, Sweeper, ended, repeat
from stockade.shop.relay.service import EventPurge, relaying, sink_of
from stockade.store import Database, SqlStore
from stockade.store.registration import Registration
from stockade.strategies import registry
from stockade.strategies.kafka import Kafka
from stockade.strategies.options import Options

T = TypeVar("T")
Count = Callable[[str, str, str], None]
Before = Callable[[Database], Awaitable[None]]


class Shop:
    """An open shop: carries out commands under the strategy of their resource.

    Attributes:
        settings: what it was made from.
        database: connections; `read` is the way to query.
        store: the store; its `stats` count what it did.
        strategies: the strategy of each resource; the same object where the names are equal.
        registration: of its guards; None for a database in memory, which no other process can use.
        count: called with (command, strategy, code) after every command; code is ACCEPTED, REPLAYED, QUEUED, or the
            code of the refusal or error.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        store: SqlStore,
        strategies: dict[str, Strategy],
        registration: Registration | None = None,
    ) -> None:
        self.settings = settings
        self.database = database
        self.store = store
        self.strategies = strategies
        self.registration = registration
        self.count: Count = _count_nothing

    async def execute(self, command: Command) -> Outcome:
        """Carry out one command.

        Raises:
            Busy, Conflict, Unknown, IdempotencyKeyReused, LockLost: see `stockade.core.Strategy.execute`.
        """
        strategy = self.strategies[command.strategy_group]
        code = "INTERNAL_ERROR"
        try:
            outcome = await strategy.execute(command)
            code = "REPLAYED" if outcome.replayed else "ACCEPTED" if isinstance(outcome, Accepted) else outcome.code
            return outcome
        except StockadeError as error:
            code = error.code
            raise
        finally:
            self.count(command.name, strategy.name, code)

    async def submit(self, command: Command) -> bool:
        """Queue one command and do not wait for its decision; False, and nothing done, where its strategy has no log.

        Raises:
            Busy, Unknown: see `stockade.core.SupportsSubmit.submit`.
        """
        strategy = self.strategies[command.strategy_group]
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

    async def read(self, query: Callable[[Connection], T], *, wait_s: float | None = None) -> T:
        """Run a query on a connection of the read pool.

        Args:
            query: a synchronous function that only reads.
            wait_s: for a slow query, the longest it may take, in seconds; it then gets a connection of its own, so
                that it takes none from the others. None: the setting `wait_s`.

        Raises:
            Busy: no connection or no answer in time, or no database.
        """
        if wait_s is None or in_memory(self.settings):
            return await self.database.read(query, timeout_s=wait_s or self.settings.wait_s)
        own = await open_database(self.settings, wait_s=wait_s)
        try:
            return await own.read(query, timeout_s=wait_s)
        finally:
            await own.close()

    @property
    def queued(self) -> int:
        """Commands that wait in the strategies' own queues."""
        return sum(getattr(each, "depth", 0) for each in set(self.strategies.values()))


def _count_nothing(command: str, strategy: str, code: str) -> None:
    return None


def options_of(settings: Settings) -> Options:
    """The parameters of the strategies."""
    return Options(
        wait_s=settings.wait_s,
        backoff=Backoff(retries=settings.retries),
        queue_size=settings.queue_size,
        max_batch=min(settings.max_batch, settings.queue_size),
        timestamp=settings.stamp == "timestamp",
        redis=redis_urls(settings),
        lease_s=settings.lease_s,
        fence=settings.lock_guard == "fence",
        bare=settings.lock_guard == "none",
        kafka=log_of(settings) if settings.kafka_bootstrap else None,
    )


def log_of(settings: Settings) -> KafkaOptions:
    """Where the log of the strategy `kafka` is.

    Raises:
        BadSetting: as `brokers_of`.
    """
    brokers = brokers_of(settings)
    return KafkaOptions(
        COMMAND_CODEC,
        bootstrap=brokers.bootstrap,
        security=brokers.security,
        topic=settings.kafka_topic,
        partitions=settings.kafka_partitions,
        replication=settings.kafka_replication or -1,
        group=settings.kafka_group,
        protocol=settings.kafka_protocol,
        session_ms=int(settings.kafka_session_s * 1000),
    )


@asynccontextmanager
async def open_shop(
    settings: Settings,
    *,
    options: Options | None = None,
    jobs: bool = True,
    before: Before | None = None,
    checkpoint: Callable[[str], None] | None = None,
    process: str | None = None,
) -> AsyncIterator[Shop]:
    """Open the database, start the strategies and the jobs; stop and close in the opposite order.

    Args:
        settings: see `Settings`.
        options: replaces what `options_of` makes; the lab's negative controls need it.
        jobs: whether to end expired reservations and forget old requests here.
        before: done with the open database before anything else, e.g. a migration.
        checkpoint: fault point of the store, see `SqlStore`; the lab aims kills and pauses with it.
        process: that others are told to stop, see `Registration`.

    Raises:
        BadSetting: the settings name something unknown, or do not fit together or with the database.
        Busy: the database cannot be reached (code DEPENDENCY_DOWN).
        NotSupported: a driver is missing; the message names the extra.
    """
    check(settings)
    if options is None:
        check_servers(settings)
    async with AsyncExitStack() as stack:
        database = await open_database(settings)
        stack.push_async_callback(database.close)
        if before is not None:
            await before(database)
        registration = await _registration(settings, stack, process)
        store = _store(settings, database, registration, checkpoint)
        strategies = _strategies(settings, store, options or options_of(settings))
        used = tuple(set(strategies.values()))
        if registration is not None:
            await register(registration, settings, used)
        for strategy in used:
            stack.push_async_callback(strategy.stop)
            await _start(strategy, settings)
        shop = Shop(settings, database, store, strategies, registration)
        if jobs:
            await stack.enter_async_context(_jobs(shop))
        yield shop


async def _registration(settings: Settings, stack: AsyncExitStack, process: str | None = None) -> Registration | None:
    """This process's registration, not made yet, on a connection of its own; None for a database in this process."""
    if in_memory(settings):
        return None
    own = await open_database(settings, pool_size=1)
    stack.push_async_callback(own.close)
    registration = Registration(own, settings.guard_lease_s, process=process)
    stack.push_async_callback(registration.close)
    return registration


def _store(
    settings: Settings,
    database: Database,
    registration: Registration | None,
    checkpoint: Callable[[str], None] | None = None,
) -> SqlStore:
    single_statement = settings.single_statement == "yes"
    return SqlStore(database, SHOP_RESOURCES, checkpoint, permit=registration, single_statement=single_statement)


async def _start(strategy: Strategy, settings: Settings) -> None:
    """Start it.

    Raises:
        BadSetting: it cannot work with its parameters, e.g. a quorum of one server, or its lock server refuses them.
    """
    try:
        await strategy.start()
    except ValueError as error:
        raise BadSetting(f"strategy {strategy.name}: {error}") from None
    except LockError as error:
        raise BadSetting(f"{settings.named('redis')}: {error}") from None


@asynccontextmanager
async def _jobs(shop: Shop) -> AsyncIterator[None]:
    """Sweep, purge and relay in the background; at the end the rounds under way are finished."""
    stop, report = asyncio.Event(), JobLog()
    sweeper = Sweeper(shop.read, shop.execute, now_ms)
    purge = Purge(shop.database.transaction, now_ms, shop.settings.keep_ms)
    tasks = [
        asyncio.create_task(repeat("sweep", sweeper.once, shop.settings.sweep_s, stop, report)),
        asyncio.create_task(repeat("purge", purge.once, shop.settings.purge_s, stop, report)),
    ]
    async with AsyncExitStack() as stack:
        sink = sink_of(shop.settings)
        if sink is not None:
            events = EventPurge(shop.database, now_ms, shop.settings.events_keep_ms)
            tasks.append(asyncio.create_task(repeat("purge events", events.once, shop.settings.purge_s, stop, report)))
            await stack.enter_async_context(relaying(shop.database, sink, now_ms))
        try:
            yield
        finally:
            stop.set()
            await ended(tasks)


def now_ms() -> int:
    """The wall clock, milliseconds since 1970."""
    return time.time_ns() // 1_000_000


async def open_database(settings: Settings, *, wait_s: float | None = None, pool_size: int | None = None) -> Database:
    """The database of the settings.

    Args:
        settings: the URL, and the bounds.
        wait_s: longest time of a statement in seconds, instead of the setting.
        pool_size: connections for transactions, instead of the setting.

    Raises:
        BadSetting: the URL is unusable, or the server refuses the user, the password or the database.
        Busy, NotSupported: as `open_shop`.
    """
    try:
        return await Database.open(
            settings.database_url, pool_size=pool_size or settings.pool_size, wait_s=wait_s or settings.wait_s
        )
    except (ValueError, AccessRefused) as error:
        raise BadSetting(f"{settings.named('database')}: {error}") from error


@asynccontextmanager
async def open_worker(
    settings: Settings, report: Callable[..., None], *, before: Before | None = None
) -> AsyncIterator[KafkaWorker]:
    """A worker of the log over the database of the settings; `KafkaWorker.run` lets it work.

    Args:
        settings: see `Settings`.
        report: told of what an operator should know: an event and its fields.
        before: done with the open database before anything else.

    Raises:
        BadSetting, Busy, NotSupported: as `open_shop`.
    """
    async with AsyncExitStack() as stack:
        database = await open_database(settings)
        stack.push_async_callback(database.close)
        if before is not None:
            await before(database)
        registration = await _registration(settings, stack)
        store = _store(settings, database, registration)
        log, size = log_of(settings), settings.kafka_batch
        if registration is not None:
            await register(registration, settings, [registry.create(Kafka.name, store, options_of(settings))])
        yield KafkaWorker(store, log, max_batch=size, wait_s=settings.wait_s, report=report)


def _strategies(settings: Settings, store: SqlStore, options: Options) -> dict[str, Strategy]:
    """One strategy object per name, checked against the database and against each other.

    Raises:
        BadSetting: a strategy cannot run on this database, or would not be right beside another one.
    """
    made: dict[str, Strategy] = {}
    chosen: dict[str, Strategy] = {}
    kind = store.database.dialect.name
    for resource in RESOURCES:
        name = chosen_strategy(settings, resource)
        if name not in made:
            made[name] = registry.create(name, store, options)
        strategy = chosen[resource] = made[name]
        databases, said = strategy.guarantees.databases, settings.saying(**{f"strategy_{resource}": name})
        runs_here = kind in databases or (kind == "mysql" and "mariadb" in databases)
        if not runs_here or not store.supports(strategy.guard.kind):
            raise BadSetting(f"{said}: does not run on {kind}, only on {', '.join(databases)}")
        if registry.oversells(strategy) and settings.allow_overselling == "no":
            raise BadSetting(f"{said} without a guard sells units more than once")
    if len(made) > 1:
        for resource, strategy in chosen.items():
            if not strategy.guard.composes:
                said = settings.saying(**{f"strategy_{resource}": strategy.name})
                raise BadSetting(
                    f"{said}: its guard {strategy.guard.kind.name} does not protect "
                    "rows from other strategies, so every resource must use the same one"
                )
    return chosen
