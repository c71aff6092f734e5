"""What the dashboard of Grafana shows: rows of panels with their expressions. `dashboard.py` makes the file of them.

`@` in an expression stands for the labels that the reader chooses, `$__rate_interval` for the window that Grafana finds
for the resolution. Figures of the backlog are the same in every process, so `max` takes one of them.
"""

from typing import NamedTuple

RATE = "[$__rate_interval]"
ORDERS = '@, route="POST /v1/orders"'


class Panel(NamedTuple):
    """One panel.

    Attributes:
        title: what it shows.
        about: how to read it.
        unit: Grafana's name of the unit.
        shows: legend -> expression.
        warns: yellow from this value on; None: no threshold.
        alarms: red from this value on.
        kind: `timeseries` or `stat`.
        values: texts for values, of a `stat`.
    """

    title: str
    about: str
    unit: str
    shows: dict[str, str]
    warns: float | None = None
    alarms: float | None = None
    kind: str = "timeseries"
    values: dict[str, str] | None = None


def quantiles(bucket: str, by: str = "") -> dict[str, str]:
    """The 50th, 95th and 99th percentile of a histogram; `by`: a label to keep apart."""
    legend = f" {{{{{by}}}}}" if by else ""
    grouped = f"le, {by}" if by else "le"
    return {
        f"p{percent}{legend}": f"histogram_quantile({percent / 100:g}, sum by ({grouped}) (rate({bucket}{RATE})))"
        for percent in (50, 95, 99)
    }


def grown(name: str, by: str = "") -> str:
    """How often a second, in sum or by a label."""
    return f"sum{f' by ({by}) ' if by else ''}(rate({name}{RATE}))"


def store(event: str) -> str:
    """How often a second the store did it."""
    return grown(f'stockade_store_total{{@, event="{event}"}}')


def share(part: str, whole: str) -> str:
    """A part of a whole, from 0 to 1. A counter that never counted has no series: that is 0, not a gap."""
    return f"({part} or 0 * {whole}) / {whole}"


ALL_REQUESTS = grown("stockade_request_seconds_count{@}")
REFUSED = 'stockade_commands_total{@, code!~"ACCEPTED|REPLAYED|QUEUED"}'

ROWS: dict[str, tuple[Panel, ...]] = {
    "Orders": (
        Panel(
            "Accepted orders",
            "Orders that were accepted or queued, each second. A replay is not counted here.",
            "ops",
            {"orders": grown('stockade_commands_total{@, command="place_order", code=~"ACCEPTED|QUEUED"}')},
            kind="stat",
        ),
        Panel(
            "Orders that were not accepted",
            "Share of place_order that was refused or ended in an error. A sold-out product is no defect.",
            "percentunit",
            {
                "share": share(
                    grown('stockade_commands_total{@, command="place_order", code!~"ACCEPTED|REPLAYED|QUEUED"}'),
                    grown('stockade_commands_total{@, command="place_order"}'),
                )
            },
            kind="stat",
        ),
        Panel(
            "Requests that ended in 5xx",
            "Share of all requests. Alert: StockadeErrors.",
            "percentunit",
            {"share": share(grown('stockade_request_seconds_count{@, status=~"5.."}'), ALL_REQUESTS)},
            0.001,
            0.01,
            "stat",
        ),
        Panel(
            "Unknown outcomes",
            "Commits whose reply was lost, in the time shown. The same Idempotency-Key, sent again, gets the outcome.",
            "short",
            {"unknown": 'sum(increase(stockade_store_total{@, event="unknown"}[$__range]))'},
            1,
            10,
            "stat",
        ),
        Panel(
            "Accepted by command",
            "Commands that were accepted, or written into the topic for a worker to decide.",
            "ops",
            {"{{command}}": grown('stockade_commands_total{@, code=~"ACCEPTED|QUEUED"}', "command")},
        ),
        Panel(
            "Refusals and errors by code",
            "Codes as the API documents them. INTERNAL_ERROR is a defect; OUT_OF_STOCK is business as usual.",
            "ops",
            {"{{code}}": grown(REFUSED, "code")},
        ),
        Panel(
            "Latency of an order",
            "From the request's head to its answer. Alert: StockadeSlow, when p99 is above a second.",
            "s",
            {
                **quantiles(f"stockade_request_seconds_bucket{{{ORDERS}}}"),
                "mean": share(
                    grown(f"stockade_request_seconds_sum{{{ORDERS}}}"),
                    grown(f"stockade_request_seconds_count{{{ORDERS}}}"),
                ),
            },
            0.5,
            1,
        ),
        Panel(
            "Requests by route",
            "Every route, also those that only read.",
            "reqps",
            {"{{route}}": grown("stockade_request_seconds_count{@}", "route")},
        ),
        Panel(
            "Requests by status",
            "401 and 403 in numbers: a wrong secret. 429: a queue is full. 503: something is away.",
            "reqps",
            {"{{status}}": grown("stockade_request_seconds_count{@}", "status")},
        ),
    ),
    "Concurrency control": (
        Panel(
            "Attempts for each commit",
            "Transactions begun for one that commits. 1 is no conflict at all; 3 is two lost attempts for each.",
            "short",
            {"attempts": share(store("transactions"), store("commits"))},
            1.5,
            3,
        ),
        Panel(
            "Commands for each commit",
            "The mean size of a batch. Strategies without a queue have 1; more is fewer commits for the same orders.",
            "short",
            {"batch": share(store("commands"), store("commits"))},
        ),
        Panel(
            "Lost attempts",
            "Conflicts: a row had changed. Deadlocks: the database chose a victim. Lock timeouts: no turn in time.",
            "ops",
            {"{{event}}": grown('stockade_store_total{@, event=~"conflicts|deadlocks|lock_timeouts"}', "event")},
        ),
        Panel(
            "What the store did",
            "All its counters. `foreseen`: batches that PostgreSQL carried out as one statement.",
            "ops",
            {"{{event}}": grown("stockade_store_total{@}", "event")},
        ),
        Panel(
            "Queue of the strategies",
            "Commands that wait in the process. A full queue answers 429: setting queue_size.",
            "short",
            {"{{instance}}": 'sum by (instance) (stockade_waiting{@, where="strategy"})'},
            1_000,
            10_000,
        ),
        Panel(
            "Commands by strategy",
            "Which strategy decided them, whatever the outcome.",
            "ops",
            {"{{strategy}}": grown("stockade_commands_total{@}", "strategy")},
        ),
    ),
    "Locks": (
        Panel(
            "Wait for a lock",
            "By strategy, of the strategies that lock outside the database. Alert: StockadeLockWaits.",
            "s",
            quantiles("stockade_lock_wait_seconds_bucket{@}", "provider"),
            0.5,
            1,
        ),
        Panel(
            "How waits end",
            "Acquired, or given up: timeout, cancelled, failed.",
            "ops",
            {"{{provider}} {{outcome}}": grown("stockade_lock_wait_seconds_count{@}", "provider, outcome")},
        ),
        Panel(
            "Hold of a lock",
            "How long locks are held, by strategy: all others wait for that time.",
            "s",
            quantiles("stockade_lock_hold_seconds_bucket{@}", "provider"),
        ),
        Panel(
            "How holds end",
            "Released, or what should not be: lost, abandoned.",
            "ops",
            {"{{provider}} {{outcome}}": grown("stockade_lock_hold_seconds_count{@}", "provider, outcome")},
        ),
        Panel(
            "Locks lost",
            "Lost: the lease ended before its holder was done. Abandoned: never released. Alert: StockadeLocksLost.",
            "short",
            {
                "{{provider}} {{outcome}}": "sum by (provider, outcome) (increase(stockade_lock_hold_seconds_count"
                '{@, outcome=~"lost|abandoned"}[$__rate_interval]))'
            },
            1,
            10,
        ),
        Panel(
            "Lock trouble",
            "Renewals and releases that failed; waiters that poll. The transaction is still safe: the guard checks it.",
            "ops",
            {"{{provider}} {{event}}": grown("stockade_lock_trouble_total{@}", "provider, event")},
        ),
    ),
    "Connections": (
        Panel(
            "Waiting for a connection",
            "Callers that wait for one of pool_size connections. Alert: StockadeQueue.",
            "short",
            {"{{instance}}": 'sum by (instance) (stockade_waiting{@, where="connection"})'},
            50,
            100,
        ),
        Panel(
            "Commands without a connection",
            "They ended with POOL_EXHAUSTED, DEPENDENCY_DOWN or LOCK_TIMEOUT; nothing happened.",
            "ops",
            {
                "{{code}}": grown(
                    'stockade_commands_total{@, code=~"POOL_EXHAUSTED|DEPENDENCY_DOWN|LOCK_TIMEOUT"}', "code"
                )
            },
            0.1,
            1,
        ),
    ),
    "Idempotent replays": (
        Panel(
            "Replayed commands",
            "A key that was known got its recorded outcome, and nothing was done twice.",
            "ops",
            {"{{command}}": grown('stockade_commands_total{@, code="REPLAYED"}', "command")},
        ),
        Panel(
            "Share of replays",
            "Of all commands in the store. Clients that repeat much are slow networks, or a bug of theirs.",
            "percentunit",
            {"share": share(store("replays"), store("commands"))},
            0.1,
            0.5,
        ),
        Panel(
            "Keys used for something else",
            "IDEMPOTENCY_KEY_REUSED: a client sent another request under a key of before.",
            "ops",
            {"refused": grown('stockade_commands_total{@, code="IDEMPOTENCY_KEY_REUSED"}')},
            0.1,
            1,
        ),
    ),
}
