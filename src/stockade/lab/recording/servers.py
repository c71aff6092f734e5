"""Opens what the processes of a recording talk to: a private site, or servers that the user names by URL.

Neighbours: `lab/site/` has private servers, which faults can disturb; `lab/targets/` those that are named, which no
fault may touch; `engine.py` records on both.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from stockade.lab.errors import LabError
from stockade.lab.execution.order_senders import SenderConfig
from stockade.lab.recording.command_log import CommandLog, open_command_log
from stockade.lab.recording.plan import RecordingPlan
from stockade.lab.recording.service_processes import ServiceProcesses
from stockade.lab.site.site import Site, open_site
from stockade.lab.site.site_servers import SiteServers
from stockade.lab.targets.kafka_servers import open_kafka
from stockade.lab.targets.redis_servers import open_redis
from stockade.lab.targets.target_database import (
    PRIVATE,
    SQLITE,
    TargetDatabase,
    open_private_database,
    open_target_database,
)
from stockade.service import find_application


@dataclass(frozen=True, slots=True)
class RecordingServers:
    """Everything that is open.

    Attributes:
        target: the database, by the lab's own connections past every link.
        config: what a service process opens.
        workers: processes of the command log; none without one.
        log: the command log; None where the strategy has none.
        site: the private servers; None where all are the user's.
    """

    target: TargetDatabase
    config: SenderConfig
    workers: ServiceProcesses
    log: CommandLog | None
    site: Site | None


@asynccontextmanager
async def open_servers(plan: RecordingPlan, kept: SiteServers | None) -> AsyncIterator[RecordingServers]:
    """Open what a plan needs.

    Args:
        plan: what to record.
        kept: keeps private servers for the next recording; None: they end with this one.

    Raises:
        LabError: something cannot be opened; or faults are wanted on servers of the user.
    """
    contender, application = plan.contender, find_application(plan.app)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        site = None
        redis_urls: tuple[str, ...] = ()
        bootstrap = ""
        if plan.database in (SQLITE, *PRIVATE):
            site = await enter(_private_site(plan, kept))
            redis_urls, bootstrap = site.redis_urls, site.bootstrap
            target, url = await enter(open_private_database(site.admin_url, application)), site.database_url
        else:
            target, url = await enter(open_target_database(plan.database, plan.connections, application)), plan.database
        if plan.faults and (site is None or plan.redis or plan.kafka):
            raise LabError(
                "faults disturb private servers only: name no --redis and no --kafka, and no database by URL"
            )
        if contender.redis_servers and not redis_urls:
            redis = await enter(open_redis(plan.redis, contender.redis_servers))
            if why := redis.why_not(contender):
                raise LabError(f"{contender.name}: {why}")
            redis_urls = redis.urls_for(contender)
        options = replace(plan.options, redis=redis_urls) if redis_urls else plan.options
        config = SenderConfig(url, contender.strategy, options, plan.open_connections, plan.app)
        workers, log = ServiceProcesses("log worker", 0, None), None
        if contender.needs_kafka:
            if not bootstrap:
                servers = await enter(open_kafka(plan.kafka, wanted=True))
                if why := servers.why_not(contender):
                    raise LabError(f"{contender.name}: {why}")
                bootstrap = servers.bootstrap
            log = await enter(open_command_log(plan, url, bootstrap))
            workers, config = log.workers, replace(config, options=replace(options, kafka=log.options))
        yield RecordingServers(target, config, workers, log, site)


def _private_site(plan: RecordingPlan, kept: SiteServers | None) -> AbstractAsyncContextManager[Site]:
    """The servers that the user has not named."""
    return open_site(
        plan.database,
        plan.needs,
        redis_servers=0 if plan.redis else plan.contender.redis_servers,
        kafka=plan.contender.needs_kafka and not plan.kafka,
        connections=plan.connections,
        servers=kept,
    )
