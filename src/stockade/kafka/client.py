"""Makes clients of Kafka, and turns what the client library reports into our errors and values.

librdkafka reconnects for ever, also when the brokers refuse the password or the client does not trust their
certificate. It reports both only to the callback `error_cb`, so every wait in this package checks these reports.
Neighbours: `admin`, `producer`, `consumer` and `reply_reader` make their clients here; `security` has the login.
"""

import logging
import re
import time
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from stockade.core import Busy, NotSupported
from stockade.kafka.message import Record
from stockade.kafka.security import Brokers, KafkaBrokers

CALL_TIMEOUT_S = 15.0  # longest wait for an answer of the brokers
POLL_TIMEOUT_S = 0.1  # longest call of a thread into the client before it checks whether it has to end
CLOSE_TIMEOUT_S = 5.0  # longest wait for the end of a thread or for the last messages
CHECK_S = 0.5  # how often a blocking call is interrupted to check the reports

_ALERT = "ssl/tls alert"  # the broker ended the handshake, e.g. because the client has no certificate
_AFTER = re.compile(r" \(after \d+ms in state \w+\)")
_SETTING_NAMES = {
    "ssl.ca.location": "kafka_ssl_ca",
    "ssl.certificate.location": "kafka_ssl_cert",
    "ssl.key.location": "kafka_ssl_key",
    "security.protocol": "kafka_security",
}

log = logging.getLogger(__name__)


def load_library() -> ModuleType:
    """The client library, confluent-kafka. It is an optional extra, so it is imported where it is first needed.

    Raises:
        NotSupported: it is not installed.
    """
    try:
        import confluent_kafka
    except ModuleNotFoundError as error:
        raise NotSupported("the strategy kafka needs confluent-kafka: pip install 'stockade[kafka]'") from error
    return confluent_kafka


class ErrorReports:
    """The `error_cb` of one client: keeps what the client reports.

    Args:
        logged: whether a refusal is logged; not where the call that meets it raises it.

    Attributes:
        last: the last report that says more than that all brokers are down.
        refusal: the last report that a retry does not change: a wrong password, a certificate that is not trusted.
    """

    def __init__(self, *, logged: bool = True) -> None:
        errors = load_library().KafkaError
        self._final = (errors._AUTHENTICATION, errors._SSL, errors.SASL_AUTHENTICATION_FAILED)  # noqa: SLF001
        self._vague = errors._ALL_BROKERS_DOWN  # noqa: SLF001
        self._logs = logged
        self._logged = ""
        self.last = ""
        self.refusal = ""

    def __call__(self, error: Any) -> None:
        if error.code() == self._vague:
            return
        self.last = _plain(error.str())
        if error.code() in self._final or _ALERT in self.last:
            self.refusal = self.last
            if self._logs and self.refusal != self._logged:
                self._logged = self.refusal
                log.warning("Kafka refuses this client, or this client its certificate: %s", self.refusal)

    def raise_refusal(self) -> None:
        """Raise the refusal that was reported since the last call, if there was one.

        Raises:
            Busy: the brokers refuse this client, or their certificate is not trusted (DEPENDENCY_DOWN).
        """
        refusal, self.refusal = self.refusal, ""
        if refusal:
            raise unavailable(refusal)

    def no_answer(self, wait_s: float) -> Busy:
        """The error of a call without an answer within `wait_s` seconds, with the last report where there is one."""
        hint = "do kafka_bootstrap and kafka_security fit a listener of the brokers?"
        return unavailable(self.last or f"no answer within {wait_s:g} s; {hint}")


def _plain(text: str) -> str:
    """A report with the names of our settings, without the time that it took."""
    for theirs, ours in _SETTING_NAMES.items():
        text = text.replace(theirs, ours)
    return _AFTER.sub("", text)


def client_settings(brokers: Brokers) -> dict[str, Any]:
    """Settings of every client: login, encryption, nothing on standard error, quick reconnects."""
    address = KafkaBrokers(brokers) if isinstance(brokers, str) else brokers
    return {
        "bootstrap.servers": address.bootstrap,
        **address.security.settings(),
        "error_cb": ErrorReports(),
        "log_level": 0,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        "topic.metadata.refresh.interval.ms": 30_000,
    }


def consumer_settings(brokers: Brokers, group: str) -> dict[str, Any]:
    """Settings of every client that reads: from the oldest message, at once, and it commits nothing by itself."""
    return {
        **client_settings(brokers),
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 100,  # a message ends the wait; a short one only costs requests
        "fetch.min.bytes": 1,
    }


def make_client(kind: Any, settings: dict[str, Any]) -> Any:
    """A client of this class.

    Raises:
        NotSupported: it cannot use the settings, e.g. a file that holds no certificate.
    """
    try:
        return kind(settings)
    except load_library().KafkaException as error:
        raise NotSupported(f"the Kafka client cannot use its settings: {_plain(error.args[0].str())}") from error


def unavailable(error: Exception | str) -> Busy:
    """What a client's error is to a caller."""
    return Busy(f"Kafka cannot be reached or refuses: {error}", "DEPENDENCY_DOWN")


def topic_metadata(client: Any, reports: ErrorReports, topic: str, wait_s: float) -> Any:
    """What the brokers know of a topic; None where there is none. Blocks.

    Args:
        client: made with these reports as `error_cb`.
        reports: of this client.
        topic: its name.
        wait_s: the longest that it may take, in seconds.

    Raises:
        Busy: the brokers cannot be reached, or refuse this client (DEPENDENCY_DOWN).
    """
    end_s = time.monotonic() + wait_s
    while True:
        left_s = end_s - time.monotonic()
        try:
            found = client.list_topics(topic, timeout=max(0.001, min(CHECK_S, left_s))).topics.get(topic)
        except load_library().KafkaException as error:
            client.poll(0)
            reports.raise_refusal()
            if left_s <= CHECK_S:
                raise reports.no_answer(wait_s) from error
        else:
            return None if found is None or found.error is not None else found


def records_of(messages: Iterable[Any]) -> list[Record]:
    """The messages that a consumer returned, without reports that a broker is away: the client reconnects by itself.

    Raises:
        KafkaException: the client has ended by a fatal error.
    """
    records = []
    for message in messages:
        error = message.error()
        if error is None:
            headers = dict(message.headers() or ())
            records.append(Record(message.partition(), message.offset(), message.key(), message.value(), headers))
        elif error.fatal():
            raise load_library().KafkaException(error)
    return records
