"""`stockade worker`: decides the commands that services with the strategy `kafka` have queued."""

from typing import TYPE_CHECKING

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
    from stockade.service import Application
    from stockade.shop.config.settings import Settings


def worker(
    database: DatabaseOption = None, app: AppOption = None, config: ConfigOption = None, settings: SetOption = None
) -> None:
    """Decide the commands in the Kafka topic, until Ctrl-C. As many workers as partitions can work at the same time.

    Needs the setting kafka_bootstrap; the services that queue run with --strategy kafka.
    """
    import asyncio

    import uvloop

    with one_line_errors(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(read_settings(config, settings, database=database), application_of(app)))


async def _work(settings: "Settings", application: "Application") -> None:
    """Work until SIGINT or SIGTERM.

    Raises:
        BadSetting, Busy, NotSupported, LogRewound: with the reason.
    """
    import asyncio
    import signal
    from functools import partial

    from stockade.shop.bootstrap import open_worker
    from stockade.shop.database_checks import require_writable
    from stockade.shop.operations import logs
    from stockade.shop.operations.tune_gc import tune_gc

    require_brokers(settings)
    logs.configure(settings)
    stop = asyncio.Event()
    for sig in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sig, stop.set)
    before = partial(require_writable, settings, schema=application.schema)
    async with open_worker(settings, logs.logger().info, before=before, application=application) as work:
        tune_gc()
        await work.run(stop)
