"""The metrics of payments: what is unresolved comes from the database, what was answered from this process."""

from stockade.shop.config.settings import Settings
from stockade.shop.operations.backlog import BacklogMetrics
from stockade.shop.operations.metrics import Metrics
from tests.shop.gateway_shop import resolved, with_gateway


def figures(metrics, name):
    """The samples of a metric, by the value of its label."""
    lines = [line for line in metrics.exposition().decode().splitlines() if line.startswith(f"{name}{{")]
    return {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in lines}


async def shown(database, now_ms, gateway="toss"):
    """The metrics after a refresh."""
    metrics = Metrics()
    await BacklogMetrics(Settings(gateway=gateway), database, metrics, lambda: now_ms).refresh()
    return metrics


async def test_what_is_unresolved_is_shown(database, keep):
    """Open ones, those of a person and refused refunds apart, with the age of the oldest; also with another gateway, or
    with none, and then they are counted as left by another one."""
    shop, ids = with_gateway()
    await keep(shop)
    began_ms = shop.state("attempt", ids["pay_paying"]).created_ms
    metrics = await shown(database, began_ms + 90_000)
    found = figures(metrics, "stockade_payments_unresolved")
    expected = {"payments": 2.0, "refunds": 3.0, "other_gateway": 0.0, "person": 1.0, "refused": 1.0}
    assert found == expected
    assert figures(metrics, "stockade_payments_oldest_seconds")["payments"] == 90.0
    for other in ("none", "stripe"):
        found = figures(await shown(database, began_ms, gateway=other), "stockade_payments_unresolved")
        assert found == {**expected, "other_gateway": 5.0}


async def test_what_is_resolved_is_not_shown(database, keep):
    """The control: once everything has an answer, nothing is old."""
    shop, _ = resolved()
    await keep(shop)
    metrics = await shown(database, shop.now_ms + 90_000)
    assert set(figures(metrics, "stockade_payments_unresolved").values()) == {0.0}
    assert set(figures(metrics, "stockade_payments_oldest_seconds").values()) == {0.0}
