"""Made-up series for each alert: some at which it fires, and near ones at which it is silent. Read by `test_alerts`.

Values are written as promtool does, one a minute: `a+bxn` is a, a+b, … n more times; `_xn` is nothing for n minutes.
Each case is looked at after `AT` minutes. The labels are those after a scrape, with job and instance.
"""

from typing import NamedTuple

AT = 40
A, B = 'job="stockade", instance="a:9100"', 'job="stockade", instance="b:9100"'
ORDERS = f'{A}, route="POST /v1/orders"'


class Case(NamedTuple):
    """Series -> values, at which the alert fires, and at which it does not; `fires_too` is for a second reason."""

    fires: dict[str, str]
    silent: dict[str, str]
    fires_too: dict[str, str] | None = None


def steady(value: float) -> str:
    """The same all the time."""
    return f"{value:g}+0x60"


def growing(per_minute: float) -> str:
    """A counter."""
    return f"0+{per_minute:g}x60"


def once(name: str) -> Case:
    """A counter that grew a few minutes ago, and one that grew long ago."""
    return Case({name: "0+0x35 1+0x20"}, {name: "0+0x10 1+0x50"})


def above(name: str, limit: float) -> Case:
    """A gauge above its limit for long, against one that is there."""
    return Case({name: steady(limit + 1)}, {name: steady(limit)})


def shares(part: str, whole: str, limit: float) -> Case:
    """Of a thousand a minute, more than the limit or fewer."""
    more, fewer = 1000 * limit * 1.2, 1000 * limit * 0.8
    return Case(
        {part: growing(more), whole: growing(1000 - more)}, {part: growing(fewer), whole: growing(1000 - fewer)}
    )


def quick(histogram: str, labels: str) -> Case:
    """2 % of the times above a second, against 0.5 %."""
    name = f"{histogram}_bucket{{{labels}"

    def times(late: float) -> dict[str, str]:
        buckets = {"0.5": 1000 - late, "1.0": 1000 - late, "2.5": 1000, "+Inf": 1000}
        return {f'{name}, le="{le}"}}': growing(count) for le, count in buckets.items()}

    return Case(times(20), times(5))


def store(event: str) -> str:
    """A counter of the store."""
    return f'stockade_store_total{{{A}, event="{event}"}}'


def commands(code: str) -> str:
    """A counter of commands."""
    return f'stockade_commands_total{{{A}, command="place_order", strategy="sequencer", code="{code}"}}'


def requests(status: int) -> str:
    """The number of requests."""
    return f'stockade_request_seconds_count{{{ORDERS}, status="{status}"}}'


def payments(outcome: str) -> str:
    """The answers of the gateway."""
    return f'stockade_payments_total{{{A}, outcome="{outcome}"}}'


def unresolved(what: str) -> str:
    """Payments that are not resolved."""
    return f'stockade_payments_unresolved{{{A}, what="{what}"}}'


def behind(job: str) -> str:
    """A job's lag; the label that the service calls `job` has another name after a scrape."""
    return f'stockade_job_behind_seconds{{{A}, exported_job="{job}"}}'


def log_behind(instance: str, partition: int) -> str:
    """Commands of a partition that are not decided."""
    return f'stockade_log_behind{{{instance}, partition="{partition}"}}'


LOCK = f'{A}, provider="redis-spin"'
TRIGGER = 'node_systemd_timer_last_trigger_seconds{job="node", instance="a:9101", name="stockade-audit.timer"}'
FAILED = 'node_systemd_unit_state{job="node", instance="a:9101", name="stockade-audit.service", state="failed"}'

CASES = {
    "StockadeAbsent": Case({'up{job="another", instance="a:9100"}': steady(1)}, {f"up{{{A}}}": steady(1)}),
    "StockadeDown": Case({f"up{{{A}}}": "1+0x30 0+0x30"}, {f"up{{{A}}}": "1+0x39 0+0x30"}),
    "StockadeErrors": shares(requests(503), requests(201), 0.01),
    # a series of a counter begins with its first error: no increase is seen in it
    "StockadeDefect": Case(
        {commands("INTERNAL_ERROR"): "_x36 1+0x20", commands("ACCEPTED"): growing(9)},
        {commands("INTERNAL_ERROR"): "_x5 1+0x50", commands("ACCEPTED"): "_x36 1+0x20"},
    ),
    "StockadeUnknownOutcomes": Case({store("unknown"): growing(1)}, {store("unknown"): "0+0x35 1+0x20"}),
    "StockadeSlow": quick("stockade_request_seconds", f'{ORDERS}, status="201"'),
    "StockadeTurnedAway": shares(requests(429), requests(201), 0.05),
    "StockadeConnections": Case(
        {commands("POOL_EXHAUSTED"): growing(12)},
        {commands("POOL_EXHAUSTED"): growing(3), commands("OUT_OF_STOCK"): growing(600)},
    ),
    "StockadeQueue": above(f'stockade_waiting{{{A}, where="connection"}}', 100),
    # the two sides differ in a label: they have to be added up before they are compared
    "StockadeConflicts": Case(
        {store("conflicts"): growing(300), store("commits"): growing(100)},
        {store("conflicts"): growing(100), store("commits"): growing(100)},
    ),
    "StockadeDeadlocks": Case(
        {store("deadlocks"): growing(2), store("commits"): growing(100)},
        {store("deadlocks"): growing(2), store("commits"): growing(1000)},
    ),
    "StockadeEventsWait": above(f'stockade_events_oldest_seconds{{{A}, state="waiting"}}', 300),
    "StockadeDeadLetters": Case(
        {f'stockade_events{{{A}, state="dead"}}': steady(1)},
        {f'stockade_events{{{A}, state="dead"}}': steady(0), f'stockade_events{{{A}, state="waiting"}}': steady(9)},
    ),
    "StockadeSalesBehind": Case(
        {behind("sales"): steady(61)}, {behind("sales"): steady(60), behind("sweep"): "99+0x60"}
    ),
    "StockadeReservationsStay": Case(
        {behind("sweep"): steady(61)}, {behind("sweep"): steady(60), behind("sales"): steady(99)}
    ),
    "StockadeBacklogUnknown": Case({behind("sales"): "NaN+0x60"}, {behind("sales"): "0+0x35 NaN 0+0x20"}),
    "StockadePaymentsUnknown": shares(payments("UNKNOWN"), payments("APPROVED"), 0.05),
    "StockadeSecondCharge": once(payments("SECOND_CHARGE")),
    "StockadePaymentsOpen": above(f'stockade_payments_oldest_seconds{{{A}, what="payments"}}', 900),
    "StockadePaymentsNeedPerson": above(unresolved("person"), 0),
    "StockadeRefundsRefused": above(unresolved("refused"), 0),
    "StockadePaymentsOtherGateway": above(unresolved("other_gateway"), 0),
    # both services show the same 4,000 of the same two partitions: 8,000 wait, not 16,000
    "StockadeWorkersBehind": Case(
        {log_behind(A, 0): steady(6_000), log_behind(A, 1): steady(6_000)},
        {log_behind(each, number): steady(4_000) for each in (A, B) for number in (0, 1)},
    ),
    "StockadeLocksLost": once(f'stockade_lock_hold_seconds_count{{{LOCK}, outcome="lost"}}'),
    "StockadeLockTrouble": Case(
        {f'stockade_lock_trouble_total{{{LOCK}, event="renew_failed"}}': growing(2)},
        {f'stockade_lock_trouble_total{{{LOCK}, event="renew_failed"}}': growing(0.5)},
    ),
    "StockadeLockWaits": quick("stockade_lock_wait_seconds", f'{LOCK}, outcome="acquired"'),
    "StockadeFiles": Case(
        {f"stockade_process_open_files{{{A}}}": steady(20_000), f"stockade_processes{{{A}}}": steady(2)},
        {f"stockade_process_open_files{{{A}}}": steady(20_000), f"stockade_processes{{{A}}}": steady(4)},
    ),
    "StockadeAuditFailed": Case({FAILED: steady(1)}, {FAILED: steady(0)}),
    "StockadeAuditLate": Case({TRIGGER: steady(-93_600)}, {TRIGGER: steady(-86_400)}),
    # a machine without the unit; then both series, whatever they say; then a machine without the timer
    "StockadeAuditAbsent": Case(
        {TRIGGER: steady(-93_600)}, {TRIGGER: steady(-93_600), FAILED: steady(0)}, {FAILED: steady(0)}
    ),
}
