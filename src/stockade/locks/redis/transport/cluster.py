"""A Redis Cluster: every call goes to the master that serves the slot of its keys; the map is learnt from the servers.

All keys of one lock lie in one slot (`redisnames.py`), so a lock lives on one master and its scripts run there as on a
single server. Each master is spoken to through a transport of its own, also for notices: PUBLISH counts only listeners
of its own node, so this process listens at a master before it asks it for a lock. Specification: redis.io, "Redis
cluster specification"; the hash is CRC-16/XMODEM. Neighbours: `multiplexed.py`, `threaded.py`, `cluster.py` (backend).
"""

import binascii
import contextlib
import functools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from stockade.core.secrets import hide_password
from stockade.locks.engine.lock_request import ChangesLoop
from stockade.locks.errors import LockUnavailable, ProviderClosed
from stockade.locks.redis.transport.address import Address, at_other_node
from stockade.locks.redis.transport.replies import may_heal
from stockade.locks.redis.transport.transport import Gap, Heard, Transport
from stockade.locks.runtime.runtime import ServerError

SLOTS = 16_384
_REDIRECTS = 5
_ASK_AGAIN_S = 0.05


@functools.lru_cache(maxsize=8192)
def slot_of(key: str) -> int:
    """The slot of a key: of its first non-empty `{tag}` if it has one, else of all of it."""
    start = key.find("{")
    end = key.find("}", start + 1)
    part = key[start + 1 : end] if start >= 0 and end > start + 1 else key
    return binascii.crc_hqx(part.encode(), 0) % SLOTS


class ClusterTransport:
    """Transports to all masters that this process has had to do with.

    Args:
        urls: some nodes of the cluster, of which one must answer; user, password and TLS of the first are used for all.
        connect: makes the transport to one node from its URL.
    """

    call_packed = None

    def __init__(self, urls: Sequence[str], connect: Callable[[str], Transport]) -> None:
        if not urls:
            raise ValueError("a cluster needs the URL of one of its nodes at least")
        if Address.parse(urls[0]).db:
            raise ValueError(f"a cluster has database 0 only: {hide_password(urls[0])!r}")
        self._seeds = tuple(urls)
        self._connect = connect
        self._nodes: dict[str, Transport] = {}
        self._masters: list[tuple[range, str]] = []  # slots, and the URL of who serves them
        self._closed = False
        self._doubtful = True
        self._ask_at = 0.0
        self._ears: tuple[str, Heard, Gap] | None = None
        self._heard_at: set[str] = set()

    @property
    def where(self) -> str:
        """The nodes that were named, for messages."""
        return ", ".join(Address.parse(url).where for url in self._seeds)

    def _node(self, url: str) -> Transport:
        if self._closed:
            raise ProviderClosed()
        return self._nodes.setdefault(url, self._nodes.get(url) or self._connect(url))

    async def call(self, *parts: bytes | str | int, timeout_s: float) -> Any:
        slot, url, end = _common_slot(parts), "", time.monotonic() + timeout_s
        for _ in range(_REDIRECTS):
            if self._doubtful:
                await self._learn(_left_s(end))
            url = url or self._master_of(slot)
            try:
                await self._hear_at(url, _left_s(end))
                return await self._node(url).call(*parts, timeout_s=_left_s(end))
            except ServerError as error:
                if str(error).startswith("ASK "):
                    raise LockUnavailable(f"slot {slot} is being moved to another node") from error
                if not str(error).startswith("MOVED "):
                    raise
                self._doubtful = True
                url = self._moved_to(str(error), url)  # it was not carried out at the other
            except LockUnavailable:
                self._doubtful = True  # perhaps another one was made master of the slot
                raise
        raise LockUnavailable(f"slot {slot} was moved {_REDIRECTS} times while a call looked for it")

    def _master_of(self, slot: int) -> str:
        for slots, url in self._masters:
            if slot in slots:
                return url
        self._doubtful = True
        raise LockUnavailable.unsent(f"no master of the cluster serves slot {slot}")

    def _moved_to(self, error: str, asked: str) -> str:
        """The URL that `MOVED <slot> <host>:<port>` names; without a host it is the one of who said so."""
        host, _, port = error.split(" ")[2].rpartition(":")
        return at_other_node(self._seeds[0] if host else asked, host, int(port))

    async def _learn(self, timeout_s: float) -> None:
        """Ask any node for the map; forget the nodes that are no masters any more. A silent one leaves time for others.

        Many callers may want it at once, and again while a master is away: one of them asks, and not without pause.
        """
        if self._masters and time.monotonic() < self._ask_at:
            return
        self._ask_at = time.monotonic() + _ASK_AGAIN_S
        trouble: Exception | None = None
        end = time.monotonic() + timeout_s
        urls = list(dict.fromkeys((*(url for _, url in self._masters), *self._seeds)))
        for number, url in enumerate(urls):
            share_s = _left_s(end) / (len(urls) - number)
            try:
                rows = await self._node(url).call("CLUSTER", "SLOTS", timeout_s=share_s)
            except (LockUnavailable, ServerError) as error:
                if isinstance(error, ServerError) and not may_heal(str(error)):
                    raise
                trouble = error
                continue
            try:
                masters = [(range(int(row[0]), int(row[1]) + 1), self._url_of(row[2], url)) for row in rows]
            except (TypeError, ValueError, IndexError, AttributeError):  # something else answers at that address
                await self._node(url).distrust()
                trouble = LockUnavailable(f"an unexpected reply of type {type(rows).__name__}")
                continue
            changed, self._masters, self._doubtful = masters != self._masters, masters, False
            await self._forget_all_but({url for _, url in masters})
            if changed and self._ears is not None:
                self._ears[2]()
            return
        raise LockUnavailable.unsent(f"no node of the cluster answers: {trouble}")

    def _url_of(self, node: Sequence[Any], asked: str) -> str:
        """The node's URL; one that does not know its own host is the one that was asked."""
        host = node[0].decode() if node[0] else ""
        return at_other_node(asked if host in ("", "?") else self._seeds[0], host if host != "?" else "", int(node[1]))

    async def _forget_all_but(self, masters: set[str]) -> None:
        for url in [url for url in self._nodes if url not in masters]:
            self._heard_at.discard(url)
            if (node := self._nodes.pop(url, None)) is not None:
                await node.close()

    async def masters(self, timeout_s: float) -> list[Transport]:
        """Every master, e.g. to search all keys."""
        if self._doubtful:
            await self._learn(timeout_s)
        return [self._node(url) for url in dict.fromkeys(url for _, url in self._masters)]

    async def master_of(self, key: str, timeout_s: float) -> Transport:
        """The master that serves this key."""
        if self._doubtful:
            await self._learn(timeout_s)
        return self._node(self._master_of(slot_of(key)))

    async def listen(self, channel: str, heard: Heard, gap: Gap, timeout_s: float) -> None:
        """From now on listen at each master before it is called for the next time; now at one, to know that it may.

        A master that is away is no hindrance: it is listened to once it is back.
        """
        end = time.monotonic() + timeout_s
        if self._doubtful:
            await self._learn(timeout_s)
        self._ears = (channel, heard, gap)
        self._heard_at.clear()  # in the child of a fork, or in another loop, the old ears are not ours
        urls = list(dict.fromkeys(url for _, url in self._masters))
        for number, url in enumerate(urls):
            try:
                await self._node(url).listen(*self._ears, _left_s(end) / (len(urls) - number))
            except ServerError:
                self._ears = None
                raise
            except LockUnavailable:
                self._doubtful = True
                continue
            self._heard_at.add(url)
            return
        self._ears = None
        raise LockUnavailable.unsent("no master of the cluster can be listened at")

    async def _hear_at(self, url: str, timeout_s: float) -> None:
        if self._ears is None or url in self._heard_at:
            return
        with contextlib.suppress(ServerError):  # other rights than at the first one: waiters for locks of this one poll
            await self._node(url).listen(*self._ears, timeout_s)
        self._heard_at.add(url)

    def change_loop(self) -> None:
        """In another event loop: let go of every connection of the one of before."""
        self._heard_at.clear()
        for node in [*self._nodes.values()]:
            if isinstance(node, ChangesLoop):
                node.change_loop()

    async def distrust(self) -> None:
        self._doubtful = True
        for node in [*self._nodes.values()]:
            await node.distrust()

    async def close(self) -> None:
        self._closed = True
        for node in [*self._nodes.values()]:
            await node.close()


def _left_s(end: float) -> float:
    return max(end - time.monotonic(), 0.001)


def _common_slot(parts: Sequence[bytes | str | int]) -> int:
    """The slot of a script call's keys.

    Raises:
        ServerError: they lie in several slots, as the server would say.
    """
    keys: Iterable[bytes | str | int] = parts[3 : 3 + int(parts[2])]
    slots = {slot_of(str(key)) for key in keys}
    if len(slots) != 1:
        raise ServerError("CROSSSLOT braces in a lock's name must form a hash tag, as in `{user7}:cart`")
    return slots.pop()
