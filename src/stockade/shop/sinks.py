"""The sink that the settings of the shop name. Neighbour: `bootstrap` hands it to the background work."""

from stockade.service import Handlers, KafkaSink, Sink
from stockade.shop.config.kafka_brokers import brokers_of
from stockade.shop.config.settings import Settings
from stockade.shop.operations.logs import logger
from stockade.store.outbox import OutboxEvent

KEEP, LOG, KAFKA = "keep", "log", "kafka"


def sink_of(settings: Settings) -> Sink | None:
    """The sink that the settings name; None where events are only kept.

    Raises:
        BadSetting: as `brokers_of`.
    """
    if settings.events == KAFKA:
        return KafkaSink(brokers_of(settings), settings.events_topic)
    return Handlers(_write) if settings.events == LOG else None


async def _write(event: OutboxEvent) -> None:
    logger().info("event", id=event.event_id, kind=event.kind, key=event.key, body=event.body.decode())
