"""Reads the outcomes that workers send to one service instance.

Neighbours: the strategy `kafka` receives them, `replies` decodes them, `partition_processor` sends them.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

from stockade.kafka.client import (
    CLOSE_TIMEOUT_S,
    POLL_TIMEOUT_S,
    consumer_settings,
    load_library,
    make_client,
    records_of,
)
from stockade.kafka.message import Record
from stockade.kafka.security import Brokers

REPLACE_PAUSE_S = 1.0  # before a new client replaces one that has ended
LINGER_S = 0.001  # how long a read waits for more than the first message
MAX_FETCH = 50

log = logging.getLogger(__name__)


class ReplyReader:
    """Reads the reply topic of this instance on a thread and hands every message to the event loop.

    The client reconnects by itself while the brokers are away. Where an error ends it, a new client replaces it and
    reads on from the next offset.

    Args:
        brokers: see `Brokers`.
        topic: with one partition; read from its start.
        on_message: called on the loop with the value of each message.

    Raises:
        NotSupported: no client library, or settings that it cannot use.
    """

    def __init__(self, brokers: Brokers, topic: str, on_message: Callable[[bytes], None]) -> None:
        self._kafka = load_library()
        self._brokers, self._topic, self._on_message = brokers, topic, on_message
        self._loop = asyncio.get_running_loop()
        self._next = 0  # offset to read from
        self._stop = threading.Event()
        client = self._open()  # here, so that the caller gets the error of settings that the client cannot use
        self._thread = threading.Thread(target=self._run, args=(client,), name="stockade-kafka-replies", daemon=True)
        self._thread.start()

    def _open(self) -> Any:
        # the client demands a group; nothing is ever committed under it
        client = make_client(self._kafka.Consumer, consumer_settings(self._brokers, self._topic))
        client.assign([self._kafka.TopicPartition(self._topic, 0, self._next)])
        return client

    def _run(self, first: Any) -> None:
        client = first
        while client is not None or not (self._stop.wait(REPLACE_PAUSE_S) or self._loop.is_closed()):
            try:
                with closing(client or self._open()) as client:
                    self._read(client)
            except Exception as error:  # noqa: BLE001 - logged, and a new client replaces this one
                log.warning("the reader of Kafka's replies has ended, the next one begins: %s", error)
            client = None

    def _read(self, client: Any) -> None:
        while not self._stop.is_set():
            records = records_of(client.consume(MAX_FETCH, LINGER_S) or client.consume(1, POLL_TIMEOUT_S))
            if records:
                self._next = records[-1].offset + 1
                self._loop.call_soon_threadsafe(self._hand_over, records)

    def _hand_over(self, records: list[Record]) -> None:
        for record in records:
            self._on_message(record.value or b"")

    def close(self) -> None:
        """End the thread. Blocks."""
        self._stop.set()
        self._thread.join(CLOSE_TIMEOUT_S)
