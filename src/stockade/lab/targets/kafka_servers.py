"""The Kafka of a run: named by the user, by STOCKADE_TEST_KAFKA, or a private broker that ends with the run.

Neighbours: `servers` starts it, `plan` leaves out whom there is none for, `deciders` are the workers beside it.
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
from stockade.lab.execution.contender import Entrant

ASK_FOR_IT = "needs kafka: name it in --strategies, or brokers with --kafka"


@dataclass(frozen=True, slots=True)
class Brokers:
    """What there is.

    Attributes:
        bootstrap: brokers to ask first; empty where there are none.
        missing: why not.
    """

    bootstrap: str = ""
    missing: str = ASK_FOR_IT

    def why_not(self, entrant: Entrant) -> str:
        """Why an entrant cannot run; empty when it can."""
        return self.missing if entrant.over_log and not self.bootstrap else ""


@asynccontextmanager
async def open_brokers(named: str, wanted: bool) -> AsyncIterator[Brokers]:
    """Have a Kafka if it can be had.

    Args:
        named: `host:port,…`; empty: those of the environment, else a private one.
        wanted: whether anybody needs it; nothing is started otherwise.

    Raises:
        LabError: named brokers cannot be reached, or a private one did not start.
    """
    bootstrap = named or existing_url("kafka") or ""
    if not wanted:
        yield Brokers()
    elif bootstrap:
        await asyncio.to_thread(_greet, bootstrap)
        yield Brokers(bootstrap)
    else:
        with Servers() as servers:
            yield await asyncio.to_thread(_start, servers)


def _start(servers: Servers) -> Brokers:
    try:
        load_library()
        kafka.find()
        return Brokers(servers.kafka().url)
    except (ServerUnavailable, NotSupported) as error:
        return Brokers(missing=f"needs kafka: {error}")
    except ServerFailed as error:
        raise LabError(str(error)) from error


def _greet(bootstrap: str) -> None:
    """Ask for a topic: else every order would wait for brokers that are not there."""
    try:
        load_library()
        Admin(bootstrap).partition_count("stockade")
    except (Busy, NotSupported) as error:
        raise LabError(f"kafka: {error}") from error
