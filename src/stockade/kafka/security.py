"""Encryption and login of every client, as settings of the client library.

Values only: nothing here needs a Kafka client. Neighbours: `client` uses the settings; `shop.config.kafka_brokers`
makes these values from our settings, whose names the messages use. Source: librdkafka's CONFIGURATION.md.
"""

import ssl
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from stockade.drivers.tls import TlsFiles, load_files

SECURITIES = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")
NO_LOGIN = "none"
_FILES = TlsFiles("kafka_ssl_ca", "kafka_ssl_cert", "kafka_ssl_key", "kafka_ssl_key_password")
MECHANISMS = (NO_LOGIN, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """Encryption and login of every client.

    Attributes:
        security: `plaintext`, `ssl`, `sasl_plaintext` (a login, nothing encrypted) or `sasl_ssl`.
        sasl_mechanism: `none`, `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
        username, password: of the login.
        ssl_ca: PEM file of the authorities that the brokers' certificates are checked against; empty: the system's.
        ssl_cert, ssl_key: PEM files of the client's own certificate and key; empty: none.
        ssl_key_password: of an encrypted key.
        ssl_check_hostname: whether a broker's certificate must name the host of the connection.

    Raises:
        ValueError: the values do not fit together, or a file cannot be used; the message names the setting.
    """

    security: str = "plaintext"
    sasl_mechanism: str = NO_LOGIN
    username: str = ""
    password: str = field(default="", repr=False)
    ssl_ca: str = ""
    ssl_cert: str = ""
    ssl_key: str = ""
    ssl_key_password: str = field(default="", repr=False)
    ssl_check_hostname: bool = True

    def __post_init__(self) -> None:
        if self.security not in SECURITIES:
            raise ValueError(f"kafka_security must be one of {', '.join(SECURITIES)}, not {self.security!r}")
        if self.sasl_mechanism not in MECHANISMS:
            raise ValueError(f"kafka_sasl_mechanism must be one of {', '.join(MECHANISMS)}")
        self._check_login()
        self._check_encryption()

    @property
    def _logs_in(self) -> bool:
        return self.security.startswith("sasl")

    @property
    def _encrypts(self) -> bool:
        return self.security.endswith("ssl")

    def _check_login(self) -> None:
        set_ = {
            "kafka_sasl_mechanism": self.sasl_mechanism != NO_LOGIN,
            "kafka_username": bool(self.username),
            "kafka_password": bool(self.password),
        }
        if self._logs_in and not all(set_.values()):
            missing = ", ".join(name for name, is_set in set_.items() if not is_set)
            raise ValueError(f"kafka_security = {self.security!r} needs {missing}")
        if not self._logs_in and any(set_.values()):
            named = ", ".join(name for name, is_set in set_.items() if is_set)
            raise ValueError(f"{named}: only with kafka_security sasl_plaintext or sasl_ssl, not {self.security!r}")

    def _check_encryption(self) -> None:
        files = {"kafka_ssl_ca": self.ssl_ca, "kafka_ssl_cert": self.ssl_cert, "kafka_ssl_key": self.ssl_key}
        values = {**files, "kafka_ssl_key_password": self.ssl_key_password}
        unchecked = ["kafka_ssl_check_hostname"] if not self.ssl_check_hostname else []
        named = ", ".join([name for name, value in values.items() if value] + unchecked)
        if named and not self._encrypts:
            raise ValueError(f"{named}: only with kafka_security ssl or sasl_ssl, not {self.security!r}")
        if bool(self.ssl_cert) != bool(self.ssl_key):
            raise ValueError("kafka_ssl_cert and kafka_ssl_key are needed together")
        if self.ssl_key_password and not self.ssl_key:
            raise ValueError("kafka_ssl_key_password: only with kafka_ssl_key")
        if self._encrypts:
            used = {name: value for name, value in values.items() if value}
            load_files(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), used, _FILES)

    def settings(self) -> dict[str, Any]:
        """The client library's settings."""
        found: dict[str, Any] = {"security.protocol": self.security}
        if self._logs_in:
            login = {"sasl.mechanism": self.sasl_mechanism, "sasl.username": self.username}
            found.update(login, **{"sasl.password": self.password})
        if self._encrypts:
            found["ssl.ca.location"] = self.ssl_ca or "probe"  # where the system keeps its authorities
            found["ssl.endpoint.identification.algorithm"] = "https" if self.ssl_check_hostname else "none"
            files = {"ssl.certificate.location": self.ssl_cert, "ssl.key.location": self.ssl_key}
            own = {**files, "ssl.key.password": self.ssl_key_password}
            found.update({name: value for name, value in own.items() if value})
        return found


class KafkaBrokers(NamedTuple):
    """Brokers to connect to first, `host:port,…`, and how."""

    bootstrap: str
    security: KafkaSecurity = KafkaSecurity()


Brokers = KafkaBrokers | str  # a text is brokers without encryption and login
