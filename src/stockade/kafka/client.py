"""Makes the clients of the brokers, and asks them what is asked before anything else, so that a refusal is noticed.

The client library tries a connection again for ever, also when the brokers refuse the password or their certificate is
not trusted. It reports both beside its calls (`error_cb`), so every wait here looks at these reports.
Neighbours: `kafka_log`, `kafka_watch` and `kafka_writer` ask through this; `kafka_security` has the settings.
"""

import logging
import re
import time
from concurrent.futures import Future
from types import ModuleType
from typing import Any, TypeVar

from stockade.core import Busy, NotSupported
from stockade.kafka.security import Brokers, KafkaBrokers

T = TypeVar("T")

CALL_S = 15.0  # longest wait for an answer of the admin interface
LOOK_S = 0.05  # how long a wait for an answer goes on before it looks at the reports
SLICE_S = 0.5  # the same for a question that blocks

_ALERT = "ssl/tls alert"  # the broker ended the handshake, e.g. for want of a certificate
_AFTER = re.compile(r" \(after \d+ms in state \w+\)")
_NAMES = {
    "ssl.ca.location": "kafka_ssl_ca",
    "ssl.certificate.location": "kafka_ssl_cert",
    "ssl.key.location": "kafka_ssl_key",
    "security.protocol": "kafka_security",
}

log = logging.getLogger(__name__)


def client() -> ModuleType:
    """The client library.

    Raises:
        NotSupported: it is not installed.
    """
    try:
        import confluent_kafka
    except ModuleNotFoundError as error:
        raise NotSupported("the strategy kafka needs confluent-kafka: pip install 'stockade[kafka]'") from error
    return confluent_kafka


class Reports:
    """What a client reports beside its calls; made anew for each client, and called by it.

    Args:
        logged: whether a refusal is logged; not where the call that met it raises it.

    Attributes:
        last: the last report that says more than that all brokers are down.
        refusal: the last report that trying again will not change: a wrong password, a certificate not trusted.
    """

    def __init__(self, *, logged: bool = True) -> None:
        errors = client().KafkaError
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

    def require(self) -> None:
        """Go on, unless the brokers refused this client since this was asked.

        Raises:
            Busy: they did, or their certificate is not trusted (DEPENDENCY_DOWN).
        """
        refusal, self.refusal = self.refusal, ""
        if refusal:
            raise down(refusal)


def _plain(text: str) -> str:
    """A report with the names of our settings, without the time that it took."""
    for theirs, ours in _NAMES.items():
        text = text.replace(theirs, ours)
    return _AFTER.sub("", text)


def common(brokers: Brokers) -> dict[str, Any]:
    """Settings of every client: login, encryption, no chatter on standard error, quick reconnects."""
    where = KafkaBrokers(brokers) if isinstance(brokers, str) else brokers
    return {
        "bootstrap.servers": where.bootstrap,
        **where.security.settings(),
        "error_cb": Reports(),
        "log_level": 0,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        "topic.metadata.refresh.interval.ms": 30_000,
    }


def make(kind: Any, settings: dict[str, Any]) -> Any:
    """A client of this class.

    Raises:
        NotSupported: it cannot use the settings, e.g. a file that holds no certificate.
    """
    try:
        return kind(settings)
    except client().KafkaException as error:
        raise NotSupported(f"the Kafka client cannot use its settings: {_plain(error.args[0].str())}") from error


def down(error: Exception | str) -> Busy:
    """What a client's error is to a caller."""
    return Busy(f"Kafka cannot be reached or refuses: {error}", "DEPENDENCY_DOWN")


class Admin:
    """The brokers' admin interface. Blocks: call it in a thread.

    Args:
        brokers: see `Brokers`.

    Raises:
        NotSupported: no client library, or settings that it cannot use.
    """

    def __init__(self, brokers: Brokers) -> None:
        client()
        from confluent_kafka.admin import AdminClient

        self._reports = Reports(logged=False)
        self.client: Any = make(AdminClient, {**common(brokers), "error_cb": self._reports})

    def metadata(self, topic: str, wait_s: float) -> Any:
        """What the brokers know of a topic; see `metadata`."""
        return metadata(self.client, self._reports, topic, wait_s)

    def result(self, answer: "Future[T]", wait_s: float) -> T:
        """Wait for the answer to a question.

        Raises:
            Busy: the brokers refuse this client, or did not answer within `wait_s` seconds (DEPENDENCY_DOWN).
            KafkaException: what they answered.
        """
        end_s = time.monotonic() + wait_s
        while True:
            try:
                return answer.result(LOOK_S)
            except TimeoutError:
                self.client.poll(0)
                self._reports.require()
                if time.monotonic() >= end_s:
                    raise down(self._reports.last or _silent(wait_s)) from None
            except client().KafkaException as error:
                self.client.poll(0)
                self._reports.require()
                if error.args[0].code() == client().KafkaError._TIMED_OUT:  # noqa: SLF001
                    raise down(self._reports.last or _silent(wait_s)) from error
                raise


def metadata(asked: Any, reports: Reports, topic: str, wait_s: float) -> Any:
    """What the brokers know of a topic, None where there is none. Blocks.

    Args:
        asked: a client, made with these reports.
        reports: its `error_cb`.
        topic: its name.
        wait_s: the longest that it may take, in seconds.

    Raises:
        Busy: the brokers cannot be reached, or refuse this client (DEPENDENCY_DOWN).
    """
    end_s = time.monotonic() + wait_s
    while True:
        left_s = end_s - time.monotonic()
        try:
            return asked.list_topics(topic, timeout=max(0.001, min(SLICE_S, left_s))).topics.get(topic)
        except client().KafkaException as error:
            asked.poll(0)
            reports.require()
            if left_s <= SLICE_S:
                raise down(reports.last or _silent(wait_s)) from error


def _silent(wait_s: float) -> str:
    return f"no answer within {wait_s:g} s; do kafka_bootstrap and kafka_security fit a listener of the brokers?"
