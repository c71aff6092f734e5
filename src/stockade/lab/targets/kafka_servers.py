"""The Kafka of a run: named by an option or by STOCKADE_TEST_KAFKA, or a private broker that ends with the run.

Neighbours: `devservers/` starts it, `runs/plan.py` leaves out contenders that have none.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from stockade.core import Busy, NotSupported
from stockade.devservers import ServerFailed, Servers, ServerUnavailable, existing_url, kafka
from stockade.kafka.admin import Admin
from stockade.kafka.client import load_library
from stockade.lab.errors import LabError
from stockade.lab.model.contender import Contender

NOT_REQUESTED = "needs kafka: name it in --strategies, or brokers with --kafka"


@dataclass(frozen=True, slots=True)
class KafkaServers:
    """The brokers of a run.

    Attributes:
        bootstrap: bootstrap servers; empty if there are none.
        missing: why there are none.
    """

    bootstrap: str = ""
    missing: str = NOT_REQUESTED

    def why_not(self, contender: Contender) -> str:
        """Why a contender cannot run; empty if it can."""
        return self.missing if contender.needs_kafka and not self.bootstrap else ""


@asynccontextmanager
async def open_kafka(named: str, wanted: bool) -> AsyncIterator[KafkaServers]:
    """Find or start a Kafka, if possible.

    Args:
        named: `host:port,…`; empty: those of the environment, otherwise a private one.
        wanted: whether a contender needs it; if not, none is started.

    Raises:
        LabError: named brokers cannot be reached, or a private one did not start.
    """
    bootstrap = named or existing_url("kafka") or ""
    if not wanted:
        yield KafkaServers()
    elif bootstrap:
        await asyncio.to_thread(_check_reachable, bootstrap)
        yield KafkaServers(bootstrap)
    else:
        with Servers() as servers:
            yield await asyncio.to_thread(_start, servers)


def _start(servers: Servers) -> KafkaServers:
    try:
        load_library()
        kafka.find()
        return KafkaServers(servers.kafka().url)
    except (ServerUnavailable, NotSupported) as error:
        return KafkaServers(missing=f"needs kafka: {error}")
    except ServerFailed as error:
        raise LabError(str(error)) from error


def _check_reachable(bootstrap: str) -> None:
    """Query a topic: otherwise every order would wait for brokers that do not exist."""
    try:
        load_library()
        Admin(bootstrap).partition_count("stockade")
    except (Busy, NotSupported) as error:
        raise LabError(f"kafka: {error}") from error
