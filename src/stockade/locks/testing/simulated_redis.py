"""A Redis server for the simulator: the mutex scripts in Python, and a network that delays, loses and reorders.

The rules are those of `scripts/mutex_*.lua`. A test runs random calls against both and compares the answers, so the
model cannot drift. Neighbours: `simulator.py` (the world), `redis/backend.py` (tested with it).
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stockade.locks.errors import LockUnavailable
from stockade.locks.redis.script import script
from stockade.locks.redis.transport.transport import OnMessage, OnReconnect
from stockade.locks.testing.simulator import SimRuntime


@dataclass
class SimRedis:
    """State and rules. Times in milliseconds; the caller sets `now_ms`.

    Attributes:
        checks_owner: False is the mutant that releases whatever is held.
        renews_on_repeat: False is the mutant that answers "already yours" without beginning the lease anew.
    """

    now_ms: float = 0.0
    owners: dict[str, tuple[str, float]] = field(default_factory=dict)
    queues: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    fences: dict[str, int] = field(default_factory=dict)
    alive: dict[str, float] = field(default_factory=dict)
    listeners: dict[str, Callable[[bytes], None]] = field(default_factory=dict)
    checks_owner: bool = True
    renews_on_repeat: bool = True
    fence_keys: dict[str, str] = field(default_factory=dict)

    def run(self, sha: str, keys: list[str], args: list[str]) -> Any:
        """The reply of the script with this hash."""
        name = _NAMES[sha]
        if name == "mutex_renew":
            each = range(len(keys) // 3)
            return [self._renew(keys[3 * i], args[2 * i + 1], int(args[2 * i + 2])) for i in each]
        if name == "raise_fence":
            return self._raise_fence(keys[0], int(args[0]))
        self.fence_keys[keys[0]] = keys[2]
        return self._acquire(keys[0], args) if name == "mutex_acquire" else self._release(keys[0], args)

    def owner(self, key: str) -> str:
        """The present owner id, or an empty text."""
        owner, until = self.owners.get(key, ("", 0.0))
        if until <= self.now_ms:
            self.owners.pop(key, None)
            return ""
        return owner

    def _own(self, key: str, owner: str, lease_ms: int) -> int:
        fence = self.fence_keys[key]
        self.fences[fence] = self.fences.get(fence, 1000) + 1
        self.owners[key] = (owner, self.now_ms + lease_ms)
        return self.fences[fence]

    def _hand_on(self, key: str, channel: str, alive: str, caller: str) -> tuple[str, int] | None:
        waiting = self.queues.get(key, [])
        while waiting:
            owner, lease_ms = waiting.pop(0)
            process = owner.rpartition(".")[0]
            if owner == caller:
                return owner, self._own(key, owner, lease_ms)
            if process == caller.rpartition(".")[0] or self.alive.get(alive + process, 0.0) > self.now_ms:
                fence = self._own(key, owner, lease_ms)
                notify = self.listeners.get(channel + process)
                if notify is not None:
                    notify(f"{owner} {fence}".encode())
                    return owner, fence
                del self.owners[key]
        return None

    def _acquire(self, key: str, args: list[str]) -> int:
        owner, lease_ms, _, channel, alive, _, queue, again, beat_ms, _ = args
        holder = self.owner(key)
        if holder == owner:
            if self.renews_on_repeat:
                self.owners[key] = (owner, self.now_ms + int(lease_ms))
            return self.fences[self.fence_keys[key]]
        waiting = self.queues.setdefault(key, [])
        if not holder and not waiting:
            return self._own(key, owner, int(lease_ms))
        if queue == "1":
            if beat_ms != "0":
                self.alive[alive + owner.rpartition(".")[0]] = self.now_ms + int(beat_ms)
            if again == "0" or (owner, int(lease_ms)) not in waiting:
                waiting.append((owner, int(lease_ms)))
        if not holder:
            handed = self._hand_on(key, channel, alive, owner)
            if handed is None:
                return self._own(key, owner, int(lease_ms))
            if handed[0] == owner:
                return handed[1]
        return 0 if beat_ms == "0" else -int(self.owners[key][1] - self.now_ms)

    def _release(self, key: str, args: list[str]) -> int:
        owner, lease_ms, _, channel, alive, _, leave, force = args
        holder = self.owner(key)
        if holder != owner and self.checks_owner and not (holder and force == "1"):
            waiting = self.queues.get(key, [])
            if leave == "1" and (owner, int(lease_ms)) in waiting:
                waiting.remove((owner, int(lease_ms)))
            return 0
        if self._hand_on(key, channel, alive, owner) is None:
            self.owners.pop(key, None)
        return 1

    def _renew(self, key: str, owner: str, lease_ms: int) -> int:
        if self.owner(key) != owner:
            return 0
        self.owners[key] = (owner, self.now_ms + lease_ms)
        return 1

    def _raise_fence(self, fence: str, at_least: int) -> int:
        self.fences[fence] = max(self.fences.get(fence, at_least), at_least)
        return 1

    def snapshot(self) -> "SimRedis":
        """A replica as of now: the data without the connections."""
        data = copy.deepcopy((self.owners, self.queues, self.fences, self.alive))
        made = SimRedis(self.now_ms, *data, checks_owner=self.checks_owner, renews_on_repeat=self.renews_on_repeat)
        made.fence_keys = {**self.fence_keys}
        return made


_NAMES = {
    script("mutex_common", "mutex_acquire").sha: "mutex_acquire",
    script("mutex_common", "mutex_release").sha: "mutex_release",
    script("mutex_renew").sha: "mutex_renew",
    script("raise_fence").sha: "raise_fence",
}


@dataclass
class Weather:
    """The faults of the network: probabilities from 0 to 1, times in seconds."""

    lose_request: float = 0.0
    lose_reply: float = 0.0
    lose_notice: float = 0.0
    latency_s: float = 0.005


class SimNetwork:
    """One server and its network. `server` may be replaced by a replica (failover)."""

    def __init__(self, server: SimRedis, weather: Weather) -> None:
        self.server = server
        self.weather = weather


class SimTransport:
    """The connection of one simulated process: calls keep their order as long as none is lost."""

    def __init__(self, runtime: SimRuntime, network: SimNetwork) -> None:
        self._runtime = runtime
        self._sim = runtime.sim
        self._network = network
        self._arrives = 0.0
        self._listener: tuple[str, Callable[[bytes], None]] | None = None

    call_packed = None

    async def call(self, *parts: bytes | str | int, timeout_s: float) -> Any:
        """Send a script call; its reply, or LockUnavailable after `timeout_s` virtual seconds."""
        words = [str(part) for part in parts]
        count = int(words[2])
        keys, args = words[3 : 3 + count], words[3 + count :]
        return await self._runtime.external(
            lambda done, fail: self._send((words[1], keys, args), timeout_s, done, fail)
        )

    def _send(
        self,
        what: tuple[str, list[str], list[str]],
        timeout_s: float,
        done: Callable[[Any], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        sim, weather = self._sim, self._network.weather
        self._arrives = max(self._arrives, sim.now + sim.rng.uniform(0.1, 1.0) * weather.latency_s) + 1e-6
        lost = sim.rng.random()

        def arrive() -> None:
            server = self._network.server
            server.now_ms = sim.now * 1000
            if self._listener is not None:
                server.listeners[self._listener[0]] = self._listener[1]
            reply = server.run(*what)
            if lost >= weather.lose_request + weather.lose_reply:
                sim.after(sim.rng.uniform(0.1, 1.0) * weather.latency_s, lambda: done(reply))

        if lost >= weather.lose_request:
            sim.after(self._arrives - sim.now, arrive)
        sim.after(timeout_s, lambda: fail(LockUnavailable("no answer in time")))

    async def listen(self, channel: str, on_message: OnMessage, on_reconnect: OnReconnect, timeout_s: float) -> None:
        """Subscribe; see `Transport.listen`."""

        def notify(message: bytes) -> None:
            sim, weather = self._sim, self._network.weather
            if sim.rng.random() >= weather.lose_notice:
                delay_s = sim.rng.uniform(0.1, 1.0) * weather.latency_s
                sim.after(delay_s, lambda: on_message(message), self._runtime.home)

        self._listener = (channel, notify)
        self._network.server.listeners[channel] = notify
        await self._runtime.sleep(self._network.weather.latency_s)

    async def distrust(self) -> None:
        """Nothing: every reply makes sense."""

    async def close(self) -> None:
        """Nothing: there is no connection."""
        return
