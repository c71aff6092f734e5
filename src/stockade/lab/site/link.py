"""A link between the service and one of its servers, which several faults can disturb at once.

The state of a link is the composition of the disturbances that are active on it. So the healing of one fault leaves
the others in place, and a restart of the server behind the link changes none. Neighbours: `devservers/tcp_proxy.py`
passes the bytes, `faults/network.py` has the disturbances, `site.py` says where links are.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from stockade.devservers.tcp_proxy import CLEAN, Conditions, TcpProxy, Touched


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What one fault does to a link.

    Attributes:
        conditions: under which everything passes.
        silent: nothing passes, and no side learns of it.
        refusing: open connections are reset once, and new ones are refused.
        repeated: done to the link at once and then every `every_s` seconds; returns to how many connections. None:
            nothing is.
        every_s: the same.
    """

    conditions: Conditions = CLEAN
    silent: bool = False
    refusing: bool = False
    repeated: "Callable[[Link], int] | None" = None
    every_s: float = 1.0


@dataclass(slots=True)
class _Active:
    """A disturbance that is in place: what the link had counted when it began, and the connections that it ended."""

    disturbance: Disturbance
    before: Touched
    connections: int = 0

    def touched(self, now: Touched) -> str:
        """What it did to connections and to what passed, e.g. `1,200 bytes late`; empty: nothing."""
        what, before = self.disturbance, self.before
        late = what.conditions.latency_s or what.conditions.jitter_s or what.conditions.bytes_per_s
        counts = {
            "connections ended": self.connections,
            "bytes dropped": now.dropped - before.dropped if what.silent else 0,
            "bytes late": now.late - before.late if late else 0,
            "bytes in pieces": now.sliced - before.sliced if what.conditions.piece_bytes else 0,
        }
        return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)


class Link(TcpProxy):
    """A proxy with a name. Open it before use.

    Args:
        target: the port that it leads to.
        name: in the fault log, e.g. `client->postgres`.

    Attributes:
        name: as given.
        active: the disturbances by the names of their faults.
    """

    def __init__(self, target: int, name: str) -> None:
        super().__init__(target)
        self.name = name
        self.active: dict[str, _Active] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    async def disturb(self, fault: str, disturbance: Disturbance) -> None:
        """Add what a fault does, until `undisturb`.

        Args:
            fault: its name.
            disturbance: what it does.
        """
        self._stop_repeating(fault)
        active = self.active[fault] = _Active(disturbance, replace(self.touched))
        await self._compose()
        if disturbance.refusing:
            active.connections += self.cut()
        if disturbance.repeated is not None:
            self._repeat(fault, disturbance.repeated, disturbance.every_s)

    async def undisturb(self, fault: str) -> str:
        """Take away what this fault does; nothing if it does nothing. What other faults do stays.

        Returns:
            What it did to connections and to what passed since `disturb`, e.g. `1,200 bytes late`; empty: nothing.

        Raises:
            OSError: another program listens on its port since it was refused.
        """
        active = self.active.pop(fault, None)
        if active is None:
            return ""
        self._stop_repeating(fault)
        touched = active.touched(self.touched)
        await self._compose()
        return touched

    async def restore(self) -> None:
        """Take away what all faults do."""
        for fault in list(self.active):
            await self.undisturb(fault)
        await super().restore()

    async def close(self) -> None:
        """See `TcpProxy`."""
        for fault in list(self._timers):
            self._stop_repeating(fault)
        await super().close()

    async def _compose(self) -> None:
        """Be what the active disturbances make of it together."""
        active = [each.disturbance for each in self.active.values()]
        self.set_conditions(composed(each.conditions for each in active))
        if any(each.silent for each in active):
            self.swallow()
        elif not self.passing:
            self.passing = True
            self.cut()  # connections that have lost bytes cannot go on
        if any(each.refusing for each in active):
            self.refuse()
        else:
            await self.accept()

    def _repeat(self, fault: str, action: "Callable[[Link], int]", every_s: float) -> None:
        self.active[fault].connections += action(self)
        loop = asyncio.get_running_loop()
        self._timers[fault] = loop.call_later(every_s, self._repeat, fault, action, every_s)

    def _stop_repeating(self, fault: str) -> None:
        if (timer := self._timers.pop(fault, None)) is not None:
            timer.cancel()


def composed(conditions: Iterable[Conditions]) -> Conditions:
    """Delays add up; of the pieces and of the rates the smallest counts."""
    some = list(conditions)
    return Conditions(
        latency_s=sum(each.latency_s for each in some),
        jitter_s=sum(each.jitter_s for each in some),
        piece_bytes=min((each.piece_bytes for each in some if each.piece_bytes), default=0),
        bytes_per_s=min((each.bytes_per_s for each in some if each.bytes_per_s), default=0.0),
    )
