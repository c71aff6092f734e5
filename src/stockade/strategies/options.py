"""The parameters of all strategies; each strategy reads those that concern it."""

from dataclasses import dataclass, field

from stockade.core import Backoff
from stockade.kafka.options import KafkaOptions


@dataclass(frozen=True, slots=True)
class Options:
    """How long to wait, how often to retry, how much to queue.

    Attributes:
        wait_s: the deadline of one command, in seconds; every wait inside ends there.
        backoff: retries after a conflict, for the optimistic strategies.
        queue_size: commands in the queue of a process, above which it raises Busy.
        max_batch: commands in one transaction of a sequencer. Above 128 to 256 only the latency grows.
        nowait: `pessimistic` answers Busy at once where a row is held, instead of waiting for it.
        timestamp: `optimistic` compares the time of the last change instead of the version (setting `stamp`).
        redis: URLs of the Redis servers that hold locks; one, or an odd number of independent ones for `redlock`.
        lease_s: how long a lock outlives its holder, in seconds; 0: the strategy's own.
        spin_ms: mean pause between two tries of `redis-spin`, in milliseconds, jittered by half.
        renew: keep a lease alive while its holder lives (Redisson's watchdog).
        fence: guard by fencing tokens instead of row versions.
        kafka: the topic of the strategy `kafka`; None: it cannot be used.
        bare: the lab's negative control (setting `lock_guard = none`): a lock strategy runs without the guard that
            protects the rows, `optimistic` with `timestamp` under the plain clock (`Guard.bare_clock`).
        keep_request_order: `pessimistic` locks in the order of the request; the lab's deadlock experiment.
    """

    wait_s: float = 5.0
    backoff: Backoff = field(default_factory=Backoff)
    queue_size: int = 10_000
    max_batch: int = 256
    timestamp: bool = False
    redis: tuple[str, ...] = ("redis://127.0.0.1:6379/0",)
    lease_s: float = 0.0
    renew: bool = True
    fence: bool = False
    kafka: KafkaOptions | None = None
    bare: bool = False
    keep_request_order: bool = False
    nowait: bool = False
    spin_ms: float = 10.0

    def __post_init__(self) -> None:
        if self.wait_s <= 0:
            raise ValueError(f"wait_s must be more than 0 seconds, not {self.wait_s}")
        if not self.redis:
            raise ValueError("at least one Redis URL is needed, e.g. redis://127.0.0.1:6379/0")
        if self.spin_ms <= 0:
            raise ValueError(f"spin_ms must be more than 0 milliseconds, not {self.spin_ms}")
        if self.lease_s < 0:
            raise ValueError(f"lease_s must be 0 (the strategy's own) or more seconds, not {self.lease_s}")
        if self.queue_size < 1 or not 1 <= self.max_batch <= self.queue_size:
            raise ValueError(f"1 <= max_batch <= queue_size is needed, not {self.max_batch} and {self.queue_size}")
