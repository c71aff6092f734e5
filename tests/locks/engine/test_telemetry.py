"""Events and spans: what happened to a lock, how long it took, and that a broken listener breaks no lock."""

import asyncio
import sys

import pytest
from prometheus_client import CollectorRegistry

from stockade.locks import MissingExtra, RedisLocks, aio
from stockade.locks.telemetry import LockMetrics, trace
from tests.waiting import eventually


class Span:
    """Records its calls, as an OpenTelemetry span would."""

    def __init__(self, name, attributes):
        self.name = name
        self.attributes = dict(attributes)
        self.ended = 0

    def set_attribute(self, name, value):
        self.attributes[name] = value

    def end(self):
        self.ended += 1


class Tracer:
    """Keeps its spans."""

    def __init__(self):
        self.spans = []

    def start_span(self, name, attributes):
        self.spans.append(Span(name, attributes))
        return self.spans[-1]


async def test_waits_and_holds_become_spans():
    """A grant gives a wait and a hold, a timeout and a cancellation a wait with that outcome; each ends once."""
    tracer = Tracer()
    async with aio.MemoryLocks() as locks:
        trace(locks, tracer)
        async with locks.lock("a"):
            other = asyncio.create_task(locks.lock("a").acquire(timeout=0.01))
            late = asyncio.create_task(locks.lock("a").acquire())
            assert await other is None
            late.cancel()
            with pytest.raises(asyncio.CancelledError):
                await late
    found = [(span.name, span.attributes["lock.outcome"], span.ended) for span in tracer.spans]
    assert sorted(found) == [
        ("lock.hold", "released", 1),
        ("lock.wait", "acquired", 1),
        ("lock.wait", "cancelled", 1),
        ("lock.wait", "timeout", 1),
    ]
    assert {span.attributes["lock.name"] for span in tracer.spans} == {"a"}


async def test_the_installed_api_is_used_by_default():
    """Without a tracer that of OpenTelemetry is taken; without an SDK it does nothing."""
    async with aio.MemoryLocks() as locks:
        trace(locks)
        async with locks.lock("a") as lease:
            assert lease.alive


async def test_a_failing_listener_is_logged_and_harmless(caplog):
    """The lock goes on; the failure stands in the log."""

    def listener(event):
        raise RuntimeError("metrics are down")

    async with aio.MemoryLocks() as locks:
        locks.on_event(listener)
        async with locks.lock("a"):
            pass
    assert "metrics are down" in caplog.text


def sample(registry, name, **labels):
    """A figure of Prometheus; 0 where there is none."""
    return registry.get_sample_value(name, labels) or 0


async def test_waits_and_holds_are_counted():
    """Waits by outcome, holds by how they ended and how long; no label has a name of a lock or of a holder."""
    registry = CollectorRegistry()
    async with aio.MemoryLocks() as locks:
        LockMetrics(registry).observe(locks, "own")
        async with locks.lock("a"):
            assert await asyncio.create_task(locks.lock("a").acquire(timeout=0.02)) is None
            late = asyncio.create_task(locks.lock("a").acquire())
            await asyncio.sleep(0)
            late.cancel()
            with pytest.raises(asyncio.CancelledError):
                await late
    for outcome, count in (("acquired", 1), ("timeout", 1), ("cancelled", 1), ("failed", 0)):
        waits = sample(registry, "stockade_lock_wait_seconds_count", provider="own", outcome=outcome)
        assert waits == count, outcome
    assert sample(registry, "stockade_lock_hold_seconds_count", provider="own", outcome="released") == 1
    assert sample(registry, "stockade_lock_hold_seconds_sum", provider="own", outcome="released") >= 0.02
    assert sample(registry, "stockade_lock_hold_seconds_count", provider="own", outcome="lost") == 0
    values = {value for family in registry.collect() for each in family.samples for value in each.labels.values()}
    assert "a" not in values


@pytest.mark.redis
def test_a_lost_lock_is_counted(redis_url):
    """For threads too: a lease that somebody broke is lost, under the name of the provider's class."""
    registry = CollectorRegistry()
    with RedisLocks(redis_url) as locks:
        LockMetrics(registry).observe(locks)
        lease = locks.lock("a", lease_s=0.3, renew=False).acquire()
        eventually(lambda: lease.lost)
    count = sample(registry, "stockade_lock_hold_seconds_count", provider="RedisLocks", outcome="lost")
    assert count == 1


def test_without_prometheus_the_error_says_what_to_install(monkeypatch):
    """The lock library alone does not need it."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingExtra, match="pip install prometheus-client"):
        LockMetrics()
