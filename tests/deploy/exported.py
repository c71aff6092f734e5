"""What a service exports: the real application is walked through, and its /metrics is read.

Neighbours: `promql` checks expressions against it, `test_dashboard` and `test_alerts` what is shown and alerted on.
"""

from prometheus_client.parser import text_string_to_metric_families

from stockade.core import Stats
from stockade.gateways import Approved
from stockade.locks import telemetry
from stockade.shop import commands
from stockade.shop.http.responses.error_codes import ERROR_CODES
from stockade.shop.http.routing.routes import ROUTES
from stockade.shop.operations.backlog import JOBS, OPEN_PAYMENTS, UNRESOLVED
from stockade.shop.operations.metrics import Metrics
from stockade.shop.payments.flow import ANSWERS
from stockade.strategies import registry
from tests.deploy.promql import TARGET, Metric
from tests.http.conftest import application, make_schema

STRATEGIES = ("sequencer", "in-process")  # a queue, and locks; neither needs a server
COMMANDS = {getattr(commands, each).name for each in commands.__all__ if hasattr(getattr(commands, each), "name")}
PATHS = {f"{route.method} {route.path}" for route in ROUTES}
STATUSES = {"200", "201", "202", "204", "304", *(str(code.status) for code in ERROR_CODES.values())}
WAITS = frozenset(telemetry._WAIT_ENDS)
HOLDS = frozenset(telemetry._HOLD_ENDS)
VOCABULARY = {  # every value that a label may have, where the code knows them
    ("stockade_commands_total", "command"): COMMANDS,
    ("stockade_commands_total", "code"): {"ACCEPTED", "REPLAYED", "QUEUED", *ERROR_CODES},
    ("stockade_commands_total", "strategy"): set(registry.names()),
    ("stockade_store_total", "event"): set(Stats().as_dict()),
    ("stockade_waiting", "where"): {"at_work", "strategy", "connection", "gateway"},
    ("stockade_events", "state"): {"waiting", "dead"},
    ("stockade_events_oldest_seconds", "state"): {"waiting"},
    ("stockade_payments_total", "outcome"): set(ANSWERS),
    ("stockade_payments_unresolved", "what"): set(UNRESOLVED),
    ("stockade_payments_oldest_seconds", "what"): set(OPEN_PAYMENTS),
    ("stockade_job_behind_seconds", "exported_job"): set(JOBS),
    ("stockade_lock_trouble_total", "event"): {"renew_failed", "release_failed", "polling"},
    **{(f"stockade_lock_wait_seconds_{part}", "outcome"): WAITS for part in ("bucket", "count", "sum")},
    **{(f"stockade_lock_hold_seconds_{part}", "outcome"): HOLDS for part in ("bucket", "count", "sum")},
    **{(f"stockade_request_seconds_{part}", "route"): PATHS for part in ("bucket", "count", "sum")},
    **{(f"stockade_request_seconds_{part}", "status"): STATUSES for part in ("bucket", "count", "sum")},
}
ELSEWHERE = {  # made by Prometheus itself, or by the systemd collector of node_exporter
    "up": Metric("gauge", {}),
    "scrape_duration_seconds": Metric("gauge", {}),
    "node_systemd_unit_state": Metric(
        "gauge",
        {
            "name": None,
            "state": frozenset({"activating", "active", "deactivating", "failed", "inactive"}),
            "type": None,
        },
    ),
    "node_systemd_timer_last_trigger_seconds": Metric("gauge", {"name": None}),
}


async def walk(folder):
    """The text of /metrics under each of `STRATEGIES`, after orders, a refusal, a replay, a payment and lock waits."""
    return [await _walked(folder, strategy) for strategy in STRATEGIES]


async def _walked(folder, strategy):
    url = f"sqlite:///{folder / strategy}.sqlite"
    await make_schema(url)
    pays = {"gateway": "toss", "gateway_secret": "test_sk_only_for_tests", "gateway_url": "http://127.0.0.1:9"}
    chosen = {"strategy_stock": strategy, "strategy_points": strategy, "events": "log"}
    async with application(url, folder, **chosen, **pays) as client:
        (sku,) = await client.product(stock=2)
        made = await client.order(sku, pay="LATER", key="a")
        assert (await client.order(sku, pay="LATER", key="a")).content == made.content
        assert (await client.order(sku, 2, pay="LATER", key="a")).status_code == 422
        assert (await client.order(sku, 2, pay="LATER")).status_code == 409
        client.state.shop.payments.gateway.approve = _approve
        body = {"method": "PG", "payment_key": "card", "amount": made.json()["total"]}
        paid = await client.post(f"/v1/orders/{made.json()['order_id']}/payments", body)
        assert paid.status_code == 200, paid.text
        client.state.metrics.log(0, 3)  # there is no topic here; tests/kafka has one
        return (await client.get("/metrics", token="")).text


async def _approve(approval):
    """Answers as a gateway that approves, without one."""
    return Approved("pg-1", approval.money)


def metrics_of(texts):
    """Name of each series -> what is known of it, as Prometheus stores it after a scrape."""
    labels, kinds = {}, {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                kinds[sample.name] = _kind(family.type, sample.name)
                seen = labels.setdefault(sample.name, {})
                for name, value in sample.labels.items():
                    seen.setdefault(f"exported_{name}" if name in TARGET else name, set()).add(value)
    shared = {each._name for each in Metrics()._own._collector_to_names if _is_shared(each)}
    return {
        name: Metric(kind, {label: _values(name, label, seen) for label, seen in labels[name].items()}, name in shared)
        for name, kind in kinds.items()
    }


def _kind(family, name):
    if name.endswith("_created"):
        return "gauge"
    return {
        "counter": "counter",
        "gauge": "gauge",
        "histogram": "histogram" if name.endswith("_bucket") else "counter",
    }[family]


def _is_shared(collector):
    return getattr(collector, "_multiprocess_mode", "") == "livemostrecent"


def _values(name, label, seen):
    """The vocabulary of a label; what the walk saw is part of it."""
    known = VOCABULARY.get((name, label))
    if known is None:
        return None
    assert seen <= known, f"{name}: {label} is {seen - known}"
    return frozenset(known)
