"""Every setting of the shop, in one frozen value, which is made once at the start.

Each field has its purpose and its limits, for error messages and for `docs/settings.md`, which a test compares with
them. Neighbours: `load` reads flags, environment and TOML file; `bootstrap` uses the settings.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from stockade.core.secrets import hide_password

_MINUTE_MS = 60_000
_MAX_URL_LENGTH = 2_000
_MIN_SECRET_LENGTH = 16
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_YES_OR_NO = {"yes": "yes", "true": "yes", "on": "yes", "1": "yes", "no": "no", "false": "no", "off": "no", "0": "no"}


class BadSetting(ValueError):
    """A setting has a value that it does not allow; the message names the setting, the value and what is allowed."""


def _setting(
    default: Any,
    about: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    secret: bool = False,
) -> Any:
    metadata = {"about": about, "low": low, "high": high, "choices": choices, "secret": secret}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings with their defaults. Times end in their unit: `_s` seconds, `_minutes` minutes.

    Attributes:
        sources: where a value that is not the default came from, e.g. `--database` or `STOCKADE_REDIS`; for messages.

    Raises:
        BadSetting: a value is of the wrong type or outside its bounds.
    """

    database: str = _setting(
        "", "Database URL: postgresql://, mysql://, mariadb:// or sqlite:///FILE; empty is stockade.db in `state_dir`."
    )
    strategy_stock: str = _setting("sequencer", "Strategy of orders, cancels, expiry and stock adjustments.")
    strategy_points: str = _setting("sequencer", "Strategy of point charges and of paying an order.")
    strategy_payment: str = _setting("", "Strategy of payments through a gateway; empty: that of orders.")
    pool_size: int = _setting(
        8,
        "Connections for transactions, per process; on a server up to 11 more.",
        low=1,
        high=1_000,
    )
    wait_s: float = _setting(5.0, "Longest time that one command may wait for its turn.", low=0.05, high=60)
    retries: int = _setting(
        50, "How often optimistic strategies repeat a lost attempt; 0 is no retry.", low=0, high=1_000
    )
    row_nowait: str = _setting(
        "no", "Whether `pessimistic` refuses at once (Busy) where another one holds a row.", choices=("no", "yes")
    )
    stamp: str = _setting("version", "What the optimistic strategy compares.", choices=("version", "timestamp"))
    queue_size: int = _setting(10_000, "Commands the sequencer holds before it answers 429.", low=1, high=1_000_000)
    max_batch: int = _setting(256, "Most commands that the sequencer puts into one transaction.", low=1, high=10_000)
    single_statement: str = _setting(
        "yes",
        "Whether PostgreSQL may carry out a batch as one statement, for speed (docs/single-statement.md).",
        choices=("yes", "no"),
    )
    redis: str = _setting(
        "redis://127.0.0.1:6379/0", "Redis servers that hold locks: URLs separated by commas; several for a quorum."
    )
    lease_s: float = _setting(
        0.0, "How long a lock outlives a holder that died; 0 is the strategy's own.", low=0, high=3_600
    )
    lease_renew: str = _setting(
        "yes", "Whether a lock's lease is renewed while its holder lives.", choices=("yes", "no")
    )
    spin_ms: float = _setting(10.0, "Mean pause between two tries of `redis-spin`.", low=1, high=10_000)
    lock_guard: str = _setting(
        "version",
        "What protects the row under a lock strategy; none is a negative control.",
        choices=("version", "fence", "none"),
    )
    allow_overselling: str = _setting(
        "no",
        "Start `unprotected` and locks with `lock_guard` none, which are known to sell units more than once.",
        choices=("no", "yes"),
    )
    guard_lease_s: float = _setting(
        15.0, "How long a process that was killed still keeps other guards from its database.", low=0.3, high=300
    )
    kafka_bootstrap: str = _setting("", "Kafka brokers to ask first, host:port separated by commas.")
    kafka_security: str = _setting(
        "plaintext",
        "How every Kafka client connects: encryption (ssl), login (sasl), both or neither.",
        choices=("plaintext", "ssl", "sasl_plaintext", "sasl_ssl"),
    )
    kafka_sasl_mechanism: str = _setting(
        "none", "How Kafka clients log in.", choices=("none", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
    )
    kafka_username: str = _setting("", "User of the Kafka login.")
    kafka_password: str = _setting("", "Password of the Kafka login.", secret=True)
    kafka_ssl_ca: str = _setting("", "PEM file of the authorities of the brokers' certificates; empty: the system's.")
    kafka_ssl_cert: str = _setting("", "PEM file of the Kafka clients' own certificate.")
    kafka_ssl_key: str = _setting("", "PEM file of the key of that certificate.")
    kafka_ssl_key_password: str = _setting("", "Password of that key, if it has one.", secret=True)
    kafka_ssl_check_hostname: str = _setting(
        "yes", "Whether a broker's certificate must name the host that was asked for.", choices=("yes", "no")
    )
    kafka_topic: str = _setting("stockade.commands", "Kafka topic of the commands.")
    kafka_group: str = _setting("stockade-workers", "Kafka group of the workers.")
    kafka_partitions: int = _setting(3, "Partitions of a commands topic that is made now.", low=1, high=10_000)
    kafka_replication: int = _setting(
        -1, "Copies of a topic that is made now; -1 is what the brokers are configured for.", low=-1, high=100
    )
    kafka_protocol: str = _setting(
        "classic", "How workers share partitions: cooperative-sticky, or KIP-848.", choices=("classic", "consumer")
    )
    kafka_session_s: float = _setting(
        10.0, "How long a silent worker keeps its partitions (classic only).", low=1, high=300
    )
    kafka_batch: int = _setting(1_024, "Most commands that a worker puts into one transaction.", low=1, high=10_000)
    gateway: str = _setting(
        "none", "Payment gateway that approves payments: none, toss, stripe or test (docs/payments.md)."
    )
    gateway_secret: str = _setting("", "Secret key of the merchant at the gateway.", secret=True)
    gateway_secret_file: str = _setting("", "File of that key, readable by its owner only.")
    gateway_webhook_secrets: str = _setting(
        "", "Secrets that sign the gateway's notifications, separated by commas.", secret=True
    )
    gateway_url: str = _setting("", "Address of the gateway's API; empty: its own.")
    gateway_call_s: float = _setting(35.0, "Longest time that one call to the gateway may take.", low=0.1, high=120)
    gateway_connections: int = _setting(200, "Connections to the gateway, per process.", low=1, high=10_000)
    currency: str = _setting("KRW", "Currency of all prices and payments, e.g. KRW or EUR.")
    reconcile_s: float = _setting(
        5.0, "Pause between two searches for payments that are not settled.", low=0.05, high=3_600
    )
    events: str = _setting(
        "keep",
        "Where events go: nowhere yet, the log, or a Kafka topic.",
        choices=("keep", "log", "kafka"),
    )
    events_topic: str = _setting("stockade.events", "Kafka topic of the events.")
    events_keep_hours: float = _setting(
        168.0, "How long events are kept after the sink has confirmed them.", low=0.01, high=24 * 365
    )
    reserve_minutes: float = _setting(10.0, "How long an unpaid order keeps its stock.", low=0.01, high=60 * 24 * 7)
    sweep_s: float = _setting(1.0, "Pause between two searches for expired orders.", low=0.05, high=3_600)
    keep_hours: float = _setting(
        24.0, "How long a refused request and its Idempotency-Key are remembered.", low=0.01, high=24 * 365
    )
    purge_s: float = _setting(60.0, "Pause between two removals of requests past that time.", low=0.05, high=86_400)
    sales_s: float = _setting(1.0, "Pause between two advances of the sums of popular products.", low=0.05, high=3_600)
    host: str = _setting("127.0.0.1", "Address that `serve` listens on.")
    port: int = _setting(8000, "Port that `serve` listens on; 0 takes a free one.", low=0, high=65_535)
    workers: int = _setting(1, "Processes that share the listening socket.", low=1, high=64)
    metrics_address: str = _setting(
        "", "host:port on which alone /metrics is served; empty: on the address of the API."
    )
    cors_origins: str = _setting(
        "", "Origins of web pages that may call the API, separated by commas, e.g. https://shop.example; empty: none."
    )
    tracing: str = _setting(
        "no", "Whether OpenTelemetry spans are made (extra `otel`; docs/deploy.md).", choices=("no", "yes")
    )
    state_dir: str = _setting(".stockade", "Folder of the default SQLite file and of the token secret.")
    token_secret: str = _setting(
        "", "Signs tokens; empty: a random one kept in `state_dir`, readable by its owner only.", secret=True
    )
    token_secrets: str = _setting(
        "", "Secrets of tokens by name, NAME=SECRET separated by commas; the first one signs.", secret=True
    )
    token_secrets_file: str = _setting(
        "", "File of such secrets, NAME = SECRET on each line; a change of it needs no restart."
    )
    token_jwks: str = _setting(
        "", "Public keys of an identity provider instead of secrets: an https URL, a file, or discover."
    )
    token_algorithms: str = _setting(
        "", "Algorithms of tokens, separated by commas; empty: HS256 with secrets, RS256 and ES256 with `token_jwks`."
    )
    token_issuer: str = _setting("", "The only iss of tokens; empty accepts any, which only secrets allow.")
    token_audience: str = _setting("", "The aud of this service; several are separated by commas.")
    token_user_claim: str = _setting("sub", "Claim of tokens that names the user; a.b is the member b of a.")
    token_admin_claim: str = _setting(
        "", "Claim that makes an administrator, e.g. realm_access.roles; empty: adm with secrets, else none."
    )
    token_admin_value: str = _setting("true", "What that claim must be or contain.")
    token_leeway_s: float = _setting(10.0, "By how much clocks may differ, for exp, nbf and iat.", low=0, high=300)
    token_refresh_s: float = _setting(300.0, "Age at which the keys of a provider are read again.", low=1, high=86_400)
    token_retry_s: float = _setting(10.0, "Least time between two readings of those keys.", low=0.1, high=3_600)
    token_keep_hours: float = _setting(
        24.0, "How long those keys are used while they cannot be read again.", low=0.01, high=24 * 30
    )
    token_hours: float = _setting(12.0, "How long a token from `stockade token` is valid.", low=0.001, high=24 * 365)
    duplicate_wait_s: float = _setting(
        2.0, "How long a repeated request waits for the first one in this process before 409.", low=0, high=30
    )
    max_in_flight: int = _setting(4_096, "Requests in flight per process before 429.", low=1, high=1_000_000)
    max_connections: int = _setting(
        10_000, "Open connections per process; a further one gets 503 and is closed.", low=1, high=1_000_000
    )
    keep_alive_s: float = _setting(
        75.0, "How long an idle connection is kept; longer than the load balancer's own.", low=1, high=3_600
    )
    header_wait_s: float = _setting(
        10.0, "Longest time the line and the headers of a request may take to arrive.", low=0.1, high=300
    )
    max_header_kib: int = _setting(32, "Largest line and headers of a request in KiB.", low=1, high=1_024)
    max_headers: int = _setting(100, "Most headers of a request.", low=1, high=10_000)
    max_body_kib: int = _setting(64, "Largest request body in KiB.", low=1, high=1_024)
    body_wait_s: float = _setting(10.0, "Longest time a request body may take to arrive.", low=0.1, high=300)
    cache_s: float = _setting(5.0, "How long the popular products are kept; stock never is.", low=0, high=300)
    drain_s: float = _setting(0.0, "How long a stopping server still answers while /readyz says 503.", low=0, high=300)
    stop_wait_s: float = _setting(10.0, "How long a stopping server waits for requests in flight.", low=0.1, high=300)
    docs_page: str = _setting(
        "yes", "Whether `/docs` shows the API to people; needs `stockade[docs-page]`.", choices=("yes", "no")
    )
    shop_front: str = _setting(
        "no",
        "Whether `/shop` has pages for people; demo: with sign-in by one click, on this machine only.",
        choices=("no", "yes", "demo"),
    )
    log_level: str = _setting("info", "Least level that is logged.", choices=("debug", "info", "warning", "error"))
    access_log: float = _setting(0.0, "Share of the requests written to the access log.", low=0, high=1)
    run_id: str = _setting("", "Written into every log line; empty: a random one per start.")
    sources: Mapping[str, str] = field(default_factory=dict, compare=False, hash=False)

    def __post_init__(self) -> None:
        for item in setting_fields():
            object.__setattr__(self, item.name, _checked(item, getattr(self, item.name)))
        if self.token_secret and len(self.token_secret) < _MIN_SECRET_LENGTH:
            raise BadSetting(f"token_secret is too short: at least {_MIN_SECRET_LENGTH} characters are needed")

    def __repr__(self) -> str:
        """The settings without secrets and passwords: a log or a traceback may show it."""
        values = [f"{item.name}={_shown(item, getattr(self, item.name))}" for item in setting_fields()]
        return f"Settings({', '.join(values)})"

    def with_source(self, *names: str) -> str:
        """For the beginning of a message: `port (from STOCKADE_PORT)`; only the name where it is the default."""
        sources = [(name, self.sources.get(name)) for name in names]
        return ", ".join(f"{name} (from {source})" if source else name for name, source in sources)

    def with_value(self, **values: str | int) -> str:
        """The same with the values: `port = 80 (from --port)`."""
        shown = {n: repr(hide_password(each) if isinstance(each, str) else each) for n, each in values.items()}
        return ", ".join(f"{name} = {shown[name]}{self.with_source(name).removeprefix(name)}" for name in values)

    @property
    def state_path(self) -> Path:
        """The state folder."""
        return Path(self.state_dir).expanduser().absolute()

    @property
    def database_url(self) -> str:
        """The database's URL, with the default filled in."""
        return self.database or f"sqlite:///{self.state_path / 'stockade.db'}"

    @property
    def uses_default_database(self) -> bool:
        """Whether this is the SQLite file that `serve` may create and migrate by itself."""
        return not self.database

    @property
    def reserve_ms(self) -> int:
        """How long an unpaid order keeps its stock, in milliseconds."""
        return int(self.reserve_minutes * _MINUTE_MS)

    @property
    def events_keep_ms(self) -> int:
        """How long a confirmed event is kept, in milliseconds."""
        return int(self.events_keep_hours * 60 * _MINUTE_MS)

    @property
    def keep_ms(self) -> int:
        """How long a request is remembered, in milliseconds."""
        return int(self.keep_hours * 60 * _MINUTE_MS)


def setting_fields() -> Iterator[Field[Any]]:
    """The fields of `Settings`, with `about`, `low`, `high`, `choices` and `secret` in their metadata."""
    yield from (item for item in fields(Settings) if item.metadata)


def allowed(item: Field[Any]) -> str:
    """What a setting allows, in words."""
    low, high, choices = (item.metadata[name] for name in ("low", "high", "choices"))
    if choices:
        return "one of " + ", ".join(choices)
    if low is not None:
        kind = "a whole number" if item.type is int else "a number"
        return f"{kind} from {low:g} to {high:g}" if high < 1_000_000 else f"{kind} from {low:g} to {high:,}"
    return "text"


def _checked(item: Field[Any], value: Any) -> Any:
    """The value in the field's type; text is read as a number where the field is one.

    Raises:
        BadSetting: it is not one, or outside the bounds.
    """
    number = value
    if set(item.metadata["choices"]) == {"yes", "no"}:
        number = _YES_OR_NO.get(str(value).lower(), value)
    if item.type is not str and isinstance(value, str):
        try:
            number = int(value) if item.type is int else float(value)
        except ValueError:
            raise _refused(item, value, allowed(item)) from None
    if item.type is float and type(number) is int:
        number = float(number)
    low, high, choices = (item.metadata[name] for name in ("low", "high", "choices"))
    right_type = type(number) is item.type
    in_bounds = right_type and (low is None or low <= number <= high) and (not choices or number in choices)
    if not in_bounds:
        raise _refused(item, value, allowed(item))
    if item.type is str and not _is_one_line(number):
        raise _refused(
            item, value, f"text of at most {_MAX_URL_LENGTH:,} characters in one line, with no space at its ends"
        )
    return number


def _is_one_line(text: str) -> bool:
    """Whether it is short and without a line break, which the end of a secret file would add to the secret."""
    return len(text) <= _MAX_URL_LENGTH and text == text.strip() and not _CONTROL.search(text)


def _shown(item: Field[Any], value: Any) -> str:
    """The value for a message: nothing of a secret, and no password inside another value."""
    if item.metadata["secret"]:
        return "…" if value else repr(value)
    return repr(hide_password(value)) if isinstance(value, str) else hide_password(repr(value))


def _refused(item: Field[Any], value: Any, must_be: str) -> BadSetting:
    return BadSetting(f"{item.name} = {_shown(item, value)}: must be {must_be}")
