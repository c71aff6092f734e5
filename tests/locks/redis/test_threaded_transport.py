"""Threads that share one connection: a woken thread wakes the next, and an interruption in between strands none."""

import threading
from types import SimpleNamespace

import pytest

from stockade.locks.redis.transport import threaded
from stockade.locks.redis.transport.threaded import ThreadedTransport
from stockade.locks.runtime.sync_runtime import run
from tests.waiting import eventually

SLEEPERS = 7


class Interrupt(BaseException):
    """What Ctrl-C raises in the one thread that gets it."""


class Transport(ThreadedTransport):
    """Threads wait for the one named `leader`, which waits for `go`; the thread `victim` is interrupted at `moment`."""

    def __init__(self, victim, moment):
        super().__init__("redis://127.0.0.1:1")
        self.victim, self.moment = victim, moment
        self.go, self.in_flight = threading.Event(), threading.Event()
        self.asleep, self.ended, self.wakers = [], {}, []

    def pass_gate(self, lock):
        """A thread sleeps at its gate."""
        name = threading.current_thread().name
        self.asleep.append(name)
        if name == self.victim and self.moment == "in line":
            raise Interrupt
        if name == self.victim and self.moment == "in flight":
            assert self.in_flight.wait(5)
            raise Interrupt
        lock.acquire()
        if name == self.victim:
            raise Interrupt  # just woken

    def _exchange(self, own):
        with self._guard:
            self._flight, self._answered, self._pending = self._pending, 0, []
        assert self.go.wait(5)
        if self.moment == "in flight" and len(self._flight) > 1:
            self.in_flight.set()
            eventually(lambda: self.victim in self.ended)
        for call in self._flight:
            call.reply, call.data = call.data, b""
        self._answered = len(self._flight)
        own.served += self._flight

    def work(self):
        """One call; how it ended is noted under the thread's name."""
        name = threading.current_thread().name
        try:
            self.ended[name] = run(self.call_packed(name.encode(), 5.0))
        except Interrupt:
            self.ended[name] = "interrupted"


def gate_of(transport):
    """A class of locks whose second `acquire` is the sleep."""

    class Gate:
        def __init__(self):
            name = threading.current_thread().name
            if name == transport.victim and transport.moment == "in line, no gate yet":
                transport.asleep.append(name)
                raise Interrupt
            self._lock, self._shut = threading.Lock(), False

        def acquire(self, *_):
            if self._shut:
                transport.pass_gate(self._lock)
            else:
                self._shut = self._lock.acquire()
            return True

        def release(self):
            transport.wakers.append(threading.current_thread().name)
            self._lock.release()

    return Gate


def play(monkeypatch, transport):
    """The leader at work, seven threads asleep behind it in order; then the leader may go on."""
    monkeypatch.setattr(threaded, "threading", SimpleNamespace(Lock=gate_of(transport), get_ident=threading.get_ident))
    threads = [threading.Thread(target=transport.work, name="leader", daemon=True)]
    threads[0].start()
    eventually(lambda: transport._busy and not transport._pending)
    for number in range(SLEEPERS):
        threads.append(threading.Thread(target=transport.work, name=str(number), daemon=True))
        threads[-1].start()
        eventually(lambda number=number: len(transport.asleep) == number + 1)
    transport.go.set()
    return threads


CASES = [
    ("in line, no gate yet", "0"),
    ("in line, no gate yet", "3"),
    ("in line", "0"),
    ("in line", "3"),
    ("in flight", "3"),
    ("just woken", "0"),
    ("just woken", "3"),
    ("never", ""),
]


@pytest.mark.parametrize(("moment", "victim"), CASES)
def test_an_interrupted_sleeper_strands_nobody(monkeypatch, moment, victim):
    """Wherever a thread leaves the chain of those who wake each other, all others get their own reply, none is lost."""
    transport = Transport(victim, moment)
    threads = play(monkeypatch, transport)
    for thread in threads:
        thread.join(5)
    expected = {thread.name: thread.name.encode() for thread in threads}
    if victim:
        expected[victim] = "interrupted"
    assert transport.ended == expected
    assert len(set(transport.wakers)) > 2, "nobody but the leaders woke anybody: this tests no chain"


def test_a_chain_without_the_hand_over_strands_somebody(monkeypatch):
    """The control: a sleeper that is interrupted in flight and stays in the chain is woken in vain."""
    monkeypatch.setattr(Transport, "_abandon", lambda self, call: None)
    transport = Transport("3", "in flight")
    threads = play(monkeypatch, transport)
    for thread in threads:
        thread.join(0.3)
    assert len(transport.ended) < len(threads)
