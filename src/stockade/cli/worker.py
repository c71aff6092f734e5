"""`stockade worker`: decides the commands that services with the strategy `kafka` have queued."""

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from stockade import __version__
from stockade.cli.common import (
    AppOption,
    ConfigOption,
    DatabaseOption,
    SetOption,
    application_of,
    one_line_errors,
    read_settings,
    require_brokers,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.kafka.worker import KafkaWorker
    from stockade.service import Application
    from stockade.shop.config.settings import Settings


def worker(
    *,
    database: DatabaseOption = None,
    app: AppOption = None,
    metrics_address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Serve /metrics and /healthz there. The setting is for services only."),
    ] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Decide the commands in the Kafka topic, until Ctrl-C. As many workers as partitions can work at the same time.

    Needs the setting kafka_bootstrap; the services that queue run with --strategy kafka.
    """
    import asyncio

    import uvloop

    with one_line_errors(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        chosen = read_settings(config, settings, database=database, metrics_address=metrics_address)
        # not of a file or the environment: services and other workers of this machine read the same, and one can bind
        chosen = replace(chosen, metrics_address=metrics_address or "", port=0)
        runner.run(_work(chosen, application_of(app), app or ""))


async def _work(settings: "Settings", application: "Application", app: str) -> None:
    """Work until SIGINT or SIGTERM.

    Raises:
        BadSetting, Busy, NotSupported, LogRewound: with the reason.
    """
    import asyncio
    import signal
    from contextlib import AsyncExitStack
    from functools import partial

    from stockade.shop.bootstrap import open_worker
    from stockade.shop.config.addresses import metrics_address
    from stockade.shop.database_checks import require_writable
    from stockade.shop.http.server.sockets import bind_metrics
    from stockade.shop.operations import logs
    from stockade.shop.operations.metrics_server import MetricsServer
    from stockade.shop.operations.tune_gc import tune_gc

    require_brokers(settings)
    metrics_address(settings)
    logs.configure(settings)
    stop = asyncio.Event()
    for sig in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sig, stop.set)
    before = partial(require_writable, settings, schema=application.schema, app=app)
    async with AsyncExitStack() as stack:
        opening = open_worker(settings, logs.logger().info, before=before, application=application)
        work = await stack.enter_async_context(opening)
        listening = bind_metrics(settings)
        if listening is not None:
            await stack.enter_async_context(MetricsServer(_exposition_of(work)).serving(listening))
        tune_gc()
        await work.run(stop, partial(_announce, settings, application))


def _exposition_of(work: "KafkaWorker") -> "Callable[[], bytes]":
    """What returns the metrics of a worker: the counters of its store, and what the process uses."""
    from stockade.shop.operations.metrics import Metrics

    metrics = Metrics()

    def exposition() -> bytes:
        metrics.process.refresh()
        metrics.store(work.store_stats)
        return metrics.exposition()

    return exposition


def _announce(settings: "Settings", application: "Application") -> None:
    """Say what the worker works on, in the log and on standard output; a refused start has said only why."""
    from stockade.core.secrets import hide_password
    from stockade.shop.operations.logs import logger
    from stockade.store.guards_in_use import process_name

    logger().info(
        "working",
        version=__version__,
        process=process_name(),
        application=application.name,
        database=hide_password(settings.database_url),
        brokers=settings.kafka_bootstrap,
        topic=settings.kafka_topic,
        group=settings.kafka_group,
    )
    with contextlib.suppress(OSError):  # standard output is closed; the log has the line too
        typer.echo(f"working on topic {settings.kafka_topic} as group {settings.kafka_group}")
