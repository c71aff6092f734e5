"""Events and spans: what happened to a lock, how long it took, and that a broken listener breaks no lock."""

import asyncio

import pytest

from stockade.locks import aio
from stockade.locks.telemetry import trace


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
