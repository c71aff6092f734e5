"""The settings as parameters of the strategies and of Kafka. Neighbours: `bootstrap`, the lab and the command line."""

from stockade.core import Backoff
from stockade.kafka.options import KafkaOptions
from stockade.service import Application
from stockade.shop.application import APPLICATION
from stockade.shop.config.kafka_brokers import brokers_of
from stockade.shop.config.redis_servers import redis_urls
from stockade.shop.config.settings import Settings
from stockade.strategies.options import Options


def options_of(settings: Settings) -> Options:
    """The parameters of the strategies.

    Raises:
        BadSetting: as `brokers_of`.
    """
    return Options(
        wait_s=settings.wait_s,
        backoff=Backoff(retries=settings.retries),
        queue_size=settings.queue_size,
        max_batch=min(settings.max_batch, settings.queue_size),
        nowait=settings.row_nowait == "yes",
        timestamp=settings.stamp == "timestamp",
        redis=redis_urls(settings),
        lease_s=settings.lease_s,
        renew=settings.lease_renew == "yes",
        spin_ms=settings.spin_ms,
        fence=settings.lock_guard == "fence",
        bare=settings.lock_guard == "none",
        kafka=kafka_options(settings) if settings.kafka_bootstrap else None,
    )


def kafka_options(settings: Settings, application: Application = APPLICATION) -> KafkaOptions:
    """Topic, group and brokers of the strategy `kafka` and its workers.

    Args:
        settings: those in force.
        application: whose commands are in the topic.

    Raises:
        BadSetting: as `brokers_of`.
    """
    brokers = brokers_of(settings)
    return KafkaOptions(
        application.codec,
        bootstrap=brokers.bootstrap,
        security=brokers.security,
        topic=settings.kafka_topic,
        partitions=settings.kafka_partitions,
        replication=settings.kafka_replication or -1,
        group=settings.kafka_group,
        protocol=settings.kafka_protocol,
        session_ms=int(settings.kafka_session_s * 1000),
        partition_kind=application.partition_kind,
    )
