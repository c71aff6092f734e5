"""Prometheus metrics: requests, outcomes of commands, counters of the store, and what waits.

One process keeps them in memory. With several serving processes the supervisor sets PROMETHEUS_MULTIPROC_DIR before
they start, and any of them answers /metrics with the sum of all (prometheus_client's multiprocess mode). Neighbours:
`http` counts requests, `Shop` outcomes, `backlog` what waits.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

from stockade.core import Stats
from stockade.locks.telemetry import LockMetrics
from stockade.shop.operations.process_metrics import ProcessMetrics

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
MULTIPROCESS_DIR = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All metrics of one process. The child of each label is kept, so that the hot path only adds.

    Attributes:
        locks: of the strategies that lock.
        process: of the process itself.
    """

    def __init__(self) -> None:
        self._own = CollectorRegistry(auto_describe=True)
        self._requests = Histogram(
            "stockade_request_seconds",
            "Time from the request's head to its answer, by route and status.",
            ("route", "status"),
            buckets=_BUCKETS_S,
            registry=self._own,
        )
        self._commands = Counter(
            "stockade_commands",
            "Outcomes of commands: ACCEPTED, REPLAYED, QUEUED, or the code of the refusal or error.",
            ("command", "strategy", "code"),
            registry=self._own,
        )
        self._store = Counter(
            "stockade_store",
            "What the store did, by kind of event (see core/stats.py).",
            ("event",),
            registry=self._own,
        )
        self._waiting = Gauge(
            "stockade_waiting",
            "Waiting now: requests at work, commands in a strategy, callers for a connection, payments at the gateway.",
            ("where",),
            registry=self._own,
            multiprocess_mode="livesum",
        )
        self._payments = Counter(
            "stockade_payments",
            "Answers of the payment gateway as they were recorded, and UNKNOWN where it gave none.",
            ("outcome",),
            registry=self._own,
        )
        self._make_backlog()
        self.locks = LockMetrics(self._own)
        self.process = ProcessMetrics(self._own)
        self._request_children: dict[tuple[str, int], Histogram] = {}
        self._command_children: dict[tuple[str, str, str], Counter] = {}
        self._seen = Stats()
        self._seen_answers: Mapping[str, int] = {}

    def _make_backlog(self) -> None:
        # all processes see the same database and topic: the newest figure is shown, not the sum
        self._events = self._newest(
            "stockade_events",
            "Events of the outbox: waiting for the sink, and dead letters; at most 100,000 are counted.",
            "state",
        )
        self._oldest = self._newest(
            "stockade_events_oldest_seconds",
            "Age of the oldest event that waits for the sink; 0 when none does.",
            "state",
        )
        self._log = self._newest(
            "stockade_log_behind", "Commands in the log that no worker has decided yet, by partition.", "partition"
        )
        self._jobs = self._newest(
            "stockade_job_behind_seconds", "How long the oldest thing has waited that a job should have done.", "job"
        )
        self._unresolved = self._newest(
            "stockade_payments_unresolved",
            "Payments and refunds that a reconciler is to resolve, those of them of another gateway than that in use, "
            "those that wait for a person, and refused refunds.",
            "what",
        )
        self._oldest_payment = self._newest(
            "stockade_payments_oldest_seconds",
            "Age of the oldest payment or refund that the reconciler is at; 0 when there is none.",
            "what",
        )

    def _newest(self, name: str, about: str, label: str) -> Gauge:
        return Gauge(name, about, (label,), registry=self._own, multiprocess_mode="livemostrecent")

    def request(self, route: str, status: int, took_s: float) -> None:
        """Count one answered request."""
        child = self._request_children.get((route, status))
        if child is None:  # bounded: as many as routes times statuses
            child = self._request_children[route, status] = self._requests.labels(route, status)
        child.observe(took_s)

    def command(self, name: str, strategy: str, code: str) -> None:
        """Count one outcome of a command."""
        child = self._command_children.get((name, strategy, code))
        if child is None:  # bounded: codes are a fixed vocabulary
            child = self._command_children[name, strategy, code] = self._commands.labels(name, strategy, code)
        child.inc()

    def store(self, stats: Stats) -> None:
        """Bring the store's counters up to date with its own."""
        before = self._seen.as_dict()
        for event, now in stats.as_dict().items():
            self._store.labels(event).inc(now - before[event])
        self._seen = Stats(**stats.as_dict())

    def waiting(self, where: str, count: int) -> None:
        """Set how many wait; `where` is the label."""
        self._waiting.labels(where).set(count)

    def events(self, waiting: float, dead: float, oldest_s: float) -> None:
        """Set how many events wait and are dead, and the age of the oldest that waits in seconds."""
        self._events.labels("waiting").set(waiting)
        self._events.labels("dead").set(dead)
        self._oldest.labels("waiting").set(oldest_s)

    def log(self, part: int, count: float) -> None:
        """Set how many commands of a partition are not decided."""
        self._log.labels(str(part)).set(count)

    def job(self, name: str, behind_s: float) -> None:
        """Set how far a job is behind, in seconds."""
        self._jobs.labels(name).set(behind_s)

    def payments(self, answers: Mapping[str, int]) -> None:
        """Bring the counters of the gateway's answers up to date with those of this process."""
        for outcome, now in answers.items():  # bounded: the states of an attempt
            self._payments.labels(outcome).inc(now - self._seen_answers.get(outcome, 0))
        self._seen_answers = dict(answers)

    def unresolved(self, counts: Mapping[str, float], oldest_s: Mapping[str, float]) -> None:
        """Set what is unresolved, and how old the oldest is in seconds; by the value of the label."""
        for what, count in counts.items():
            self._unresolved.labels(what).set(count)
        for what, seconds in oldest_s.items():
            self._oldest_payment.labels(what).set(seconds)

    def exposition(self) -> bytes:
        """The text that Prometheus reads: of all serving processes where there are several."""
        folder = os.environ.get(MULTIPROCESS_DIR)
        if not folder:
            return generate_latest(self._own)
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together, path=folder)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def process_ended(folder: Path, pid: int) -> None:
    """Forget the gauges of a serving process that is gone; its counters stay."""
    multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
