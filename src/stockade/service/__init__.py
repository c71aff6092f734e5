"""An application's commands in a running process: strategies, guards in use, background jobs, the relay of events.

`open_service` puts them together. Neighbours: `store`, `strategies` and `kafka` below; the shop is one application.
"""

from stockade.kafka.options import KafkaOptions
from stockade.service.application import Application, find_application
from stockade.service.background import Background
from stockade.service.blocking import BlockingService
from stockade.service.command_codec import CommandCodec
from stockade.service.ids import derived_id, fingerprint_of, new_request_id
from stockade.service.job_log import JobLog
from stockade.service.jobs import Job, Round
from stockade.service.relay import CONFIRMED, HELD, Handlers, Inbox, KafkaSink, Policy, Receipt, Relay, Sink, SinkDown
from stockade.service.service import Service, Unsuitable, open_service, open_worker
from stockade.service.sweeper import Sweep
from stockade.store.outbox import OutboxEvent

__all__ = [
    "CONFIRMED",
    "HELD",
    "Application",
    "Background",
    "BlockingService",
    "CommandCodec",
    "Handlers",
    "Inbox",
    "Job",
    "JobLog",
    "KafkaOptions",
    "KafkaSink",
    "OutboxEvent",
    "Policy",
    "Receipt",
    "Relay",
    "Round",
    "Service",
    "Sink",
    "SinkDown",
    "Sweep",
    "Unsuitable",
    "derived_id",
    "find_application",
    "fingerprint_of",
    "new_request_id",
    "open_service",
    "open_worker",
]
