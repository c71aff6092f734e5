"""The composition root: makes a database, a store, strategies and jobs from the settings.

The one place that sees every layer below. Neighbours: HTTP, the command line and the lab's processes open a shop or a
worker here.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final

from stockade.core import Strategy
from stockade.core.clock import now_ms
from stockade.gateways.registry import TEST
from stockade.kafka.worker import KafkaWorker
from stockade.locks import LockError
from stockade.service import Application, Background, JobLog, Unsuitable
from stockade.service.jobs import Job
from stockade.service.strategy_groups import create_strategies, register
from stockade.shop.application import APPLICATION
from stockade.shop.config.payment_gateway import gateway_of
from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.config.strategy_choice import STRATEGY_GROUPS, check, check_servers, chosen_strategy, in_memory
from stockade.shop.config.strategy_options import kafka_options, options_of
from stockade.shop.database import open_database
from stockade.shop.model.tables import refused_orders
from stockade.shop.operations.expired_reservations import expired_reservations
from stockade.shop.operations.logs import logger
from stockade.shop.operations.tracing import TracedShop, TracedStore, Tracing, tracing_of
from stockade.shop.payments import NotificationPurge, Notifications, Payments, Reconciler
from stockade.shop.queries.unresolved_payments import count_of_other_gateways, other_gateway
from stockade.shop.sales import SalesJob, position_of
from stockade.shop.shop import Shop
from stockade.shop.sinks import sink_of
from stockade.store import Database, SqlStore, StoreTables
from stockade.store.guards_in_use import GuardRefused
from stockade.store.registration import Registration
from stockade.store.schema.tables import DEFAULT
from stockade.strategies import registry
from stockade.strategies.kafka import Kafka
from stockade.strategies.options import Options

STOP_PAYMENTS_S: Final = 2.0  # for calls to the gateway whose requests were given up after `stop_wait_s`
Before = Callable[[Database], Awaitable[None]]
Checkpoint = Callable[[str], None]


@asynccontextmanager
async def open_shop(
    settings: Settings,
    *,
    options: Options | None = None,
    jobs: bool = True,
    before: Before | None = None,
    checkpoint: Checkpoint | None = None,
    process: str | None = None,
) -> AsyncIterator[Shop]:
    """Open the database, start the strategies and the jobs; stop and close in the opposite order.

    Args:
        settings: see `Settings`.
        options: replaces what `options_of` makes; the lab's negative controls need it.
        jobs: whether the background work runs in this process: it expires reservations, purges old requests and events,
            relays events to the sink, keeps the sums of sales, and reconciles payments.
        before: called with the open database before anything else, e.g. to migrate it.
        checkpoint: fault point of the store, see `SqlStore`, and of payments, see `Payments`; the lab aims kills and
            pauses with it.
        process: name of the process in messages to others, see `Registration`.

    Raises:
        BadSetting: the settings name something unknown, or do not fit together or with the database.
        Busy: the database cannot be reached (code DEPENDENCY_DOWN).
        NotSupported: a driver is missing; the message names the extra.
    """
    check(settings)
    if options is None:
        check_servers(settings)
    async with AsyncExitStack() as stack:
        tracing = tracing_of(settings)
        database, registration = await _open_database(settings, stack, before, process)
        store = _create_store(settings, database, registration, checkpoint=checkpoint, tracing=tracing)
        strategies = _create_strategies(settings, store, _carrying(options or options_of(settings), tracing))
        distinct = tuple(set(strategies.values()))
        if registration is not None:
            await _register(registration, settings, distinct)
        for strategy in distinct:
            stack.push_async_callback(strategy.stop)
            await _start(strategy, settings)
            if tracing is not None:
                tracing.locks(strategy)
        kind = Shop if tracing is None else TracedShop
        shop = kind(settings, APPLICATION, store, strategies, registration)
        shop.tracing = tracing
        reconciling = await _open_payments(shop, stack, checkpoint, tell=jobs)
        if jobs:
            background = _background(settings, database, reconciling)
            await stack.enter_async_context(background.run(database, shop.execute))
        yield shop


@asynccontextmanager
async def open_worker(
    settings: Settings,
    report: Callable[..., None],
    *,
    before: Before | None = None,
    application: Application = APPLICATION,
) -> AsyncIterator[KafkaWorker]:
    """A worker of the topic of commands over the database of the settings; `KafkaWorker.run` starts the work.

    Args:
        settings: see `Settings`.
        report: called with what an operator should know: an event and its fields.
        before: called with the open database before anything else.
        application: whose commands it decides.

    Raises:
        BadSetting, Busy, NotSupported: as `open_shop`.
    """
    async with AsyncExitStack() as stack:
        tracing = tracing_of(settings)
        database, registration = await _open_database(settings, stack, before, tables=application.tables)
        store = _create_store(settings, database, registration, application=application, tracing=tracing)
        if isinstance(store, TracedStore):
            store.in_worker = True
        if registration is not None:
            await _register(registration, settings, [registry.create(Kafka.name, store, options_of(settings))])
        kafka, max_batch = replace(kafka_options(settings, application), context=tracing), settings.kafka_batch
        yield KafkaWorker(store, kafka, max_batch=max_batch, wait_s=settings.wait_s, report=report)


@asynccontextmanager
async def open_registered(settings: Settings, *, before: Before | None = None) -> AsyncIterator[Database]:
    """The database for a command of an operator that changes protected rows itself.

    The process is registered under the strategies of the settings, so that it does not run beside a process that would
    not notice. None of the strategies is started: no Redis or Kafka is needed.

    Args:
        settings: see `Settings`.
        before: called with the open database before anything else.

    Raises:
        BadSetting, Busy, NotSupported: as `open_shop`.
    """
    check(settings)
    async with AsyncExitStack() as stack:
        database, registration = await _open_database(settings, stack, before)
        store = _create_store(settings, database, registration)
        strategies = _create_strategies(settings, store, options_of(settings))
        if registration is not None:
            await _register(registration, settings, tuple(set(strategies.values())))
        yield database


async def _open_database(
    settings: Settings,
    stack: AsyncExitStack,
    before: Before | None,
    process: str | None = None,
    tables: StoreTables = DEFAULT,
) -> tuple[Database, Registration | None]:
    """The database, and the registration of this process, which is not made yet; both are closed by the stack."""
    database = await open_database(settings, tables=tables)
    stack.push_async_callback(database.close)
    if before is not None:
        await before(database)
    if in_memory(settings):  # no other process can use it
        return database, None
    own = await open_database(settings, pool_size=1, tables=tables)  # its heartbeat must not wait behind orders
    stack.push_async_callback(own.close)
    registration = Registration(own, settings.guard_lease_s, process=process)
    stack.push_async_callback(registration.close)
    return database, registration


def _create_store(
    settings: Settings,
    database: Database,
    registration: Registration | None,
    *,
    checkpoint: Checkpoint | None = None,
    tracing: Tracing | None = None,
    application: Application = APPLICATION,
) -> SqlStore:
    kind = SqlStore if tracing is None else TracedStore
    single_statement = settings.single_statement == "yes"
    store = kind(database, application.resources, checkpoint, permit=registration, single_statement=single_statement)
    if isinstance(store, TracedStore) and tracing is not None:
        store.tracing = tracing
    return store


def _carrying(options: Options, tracing: Tracing | None) -> Options:
    """The options, with a Kafka topic whose messages carry traces."""
    if tracing is None or options.kafka is None:
        return options
    return replace(options, kafka=replace(options.kafka, context=tracing))


def _create_strategies(settings: Settings, store: SqlStore, options: Options) -> dict[str, Strategy]:
    """The strategy of each group; see `create_strategies`.

    Raises:
        BadSetting: a strategy cannot run on this database, or would not be right beside another one.
    """
    chosen = {group: chosen_strategy(settings, group) for group in STRATEGY_GROUPS}
    try:
        return create_strategies(
            store,
            chosen,
            options,
            allow_overselling=settings.allow_overselling == "yes",
            own_queues=APPLICATION.own_queues,
        )
    except Unsuitable as error:
        setting = settings.with_value(**{f"strategy_{error.group}": chosen[error.group]})
        raise BadSetting(f"{setting}{error.reason}") from None


async def _register(registration: Registration, settings: Settings, strategies: Iterable[Strategy]) -> None:
    """Register the guards of this process; see `register`.

    Raises:
        BadSetting: an incompatible process is running; the message names it.
    """
    try:
        await register(registration, strategies, allow_overselling=settings.allow_overselling == "yes")
    except GuardRefused as refused:
        raise BadSetting(str(refused)) from None


async def _start(strategy: Strategy, settings: Settings) -> None:
    """Start a strategy.

    Raises:
        BadSetting: it cannot work with its parameters, e.g. a quorum of one server, or its lock server refuses them.
    """
    try:
        await strategy.start()
    except ValueError as error:
        raise BadSetting(f"strategy {strategy.name}: {error}") from None
    except LockError as error:
        raise BadSetting(f"{settings.with_source('redis')}: {error}") from None


async def _open_payments(shop: Shop, stack: AsyncExitStack, checkpoint: Checkpoint | None, *, tell: bool) -> list[Job]:
    """Open the gateway of the settings, if they name one; `tell`: say what waits for another one.

    Returns:
        The jobs that finish what the gateway left open, and forget old notifications of any gateway.

    Raises:
        BadSetting, NotSupported: as `gateway_of`.
    """
    settings = shop.settings
    await _refuse_test_gateway(settings, shop.database)
    if tell:
        await _tell_of_other_gateways(settings, shop.database)
    forgetting = Job("purge notifications", NotificationPurge(shop.database, now_ms).once, settings.purge_s)
    gateway = gateway_of(settings)
    if gateway is None:
        return [forgetting]
    if gateway.capabilities.signed_notifications and not settings.gateway_webhook_secrets:
        logger().warning(
            "gateway_webhook_secrets is empty: every notification of the gateway is refused", gateway=settings.gateway
        )
    shop.payments = Payments(gateway, shop.execute, shop.read, settings.gateway_call_s, checkpoint=checkpoint)
    shop.notifications = Notifications(shop.payments, shop.read, shop.database)
    stack.push_async_callback(shop.payments.close, STOP_PAYMENTS_S)
    return [Job("payments", Reconciler(shop.payments).once, settings.reconcile_s), forgetting]


async def _refuse_test_gateway(settings: Settings, database: Database) -> None:
    """Refuse the gateway that charges nobody where buyers pay: their orders would be delivered for nothing.

    Raises:
        BadSetting: the database has payments of another gateway.
    """
    if settings.gateway != TEST:
        return
    other = await database.read(partial(other_gateway, gateway=TEST), timeout_s=settings.wait_s)
    if other is not None:
        why = f"the database has payments of {other}, and this one charges nobody: use another database"
        raise BadSetting(f"{settings.with_value(gateway=TEST)}: {why}")


async def _tell_of_other_gateways(settings: Settings, database: Database) -> None:
    """Log it if payments or refunds wait for a gateway that this process does not use: none of its jobs ends them."""
    count = partial(count_of_other_gateways, gateway=settings.gateway)
    if waiting := await database.read(count, timeout_s=settings.wait_s):
        logger().warning(
            "payments and refunds wait for another gateway: keep a process that uses it, see "
            "`stockade payments list --unresolved`",
            count=waiting,
            gateway=settings.gateway,
        )


def _background(settings: Settings, database: Database, jobs: Iterable[Job]) -> Background:
    """What runs beside the store of a shop."""
    return Background(
        sink=sink_of(settings),
        sweeps=[expired_reservations(settings.sweep_s)],
        jobs=[Job("sales", SalesJob(database, now_ms).once, settings.sales_s), *jobs],
        keep_ms=settings.keep_ms,
        keep_events_ms=settings.events_keep_ms,
        keep_events_from=position_of,
        purge_s=settings.purge_s,
        refusals=[refused_orders],
        report=JobLog(logger()),
    )
