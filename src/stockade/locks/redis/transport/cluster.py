"""A Redis Cluster: every call goes to the master that serves the slot of its keys. The servers report the slot map.

All keys of one lock lie in one slot (`key_names.py`), so a lock lives on one master and its scripts run there as on a
single server. Each master has a transport of its own, also for notices: PUBLISH counts only the subscribers of its own
node, so this process subscribes at a master before it calls it for a lock. Specification: redis.io, "Redis cluster
specification"; the hash is CRC-16/XMODEM. Neighbours: `multiplexed.py`, `threaded.py`, `redis/cluster.py` (backend).
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
from stockade.locks.redis.transport.transport import OnMessage, OnReconnect, ServerError, Transport

SLOTS = 16_384
_REDIRECTS = 5
_REFRESH_PAUSE_S = 0.05  # between two refreshes of the slot map


@functools.lru_cache(maxsize=8192)
def slot_of(key: str) -> int:
    """The slot of a key: of its first non-empty `{tag}` if it has one, else of all of it."""
    start = key.find("{")
    end = key.find("}", start + 1)
    part = key[start + 1 : end] if start >= 0 and end > start + 1 else key
    return binascii.crc_hqx(part.encode(), 0) % SLOTS


class ClusterTransport:
    """Transports to all masters that this process has used.

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
        self._masters: list[tuple[range, str]] = []  # slots, and the URL of the master that serves them
        self._closed = False
        self._map_is_stale = True
        self._refresh_at = 0.0
        self._listening: tuple[str, OnMessage, OnReconnect] | None = None  # the arguments of `listen`
        self._subscribed_at: set[str] = set()

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
            if self._map_is_stale:
                await self._refresh(_left_s(end))
            url = url or self._master_of(slot)
            try:
                await self._subscribe_at(url, _left_s(end))
                return await self._node(url).call(*parts, timeout_s=_left_s(end))
            except ServerError as error:
                if str(error).startswith("ASK "):
                    raise LockUnavailable(f"slot {slot} is being moved to another node") from error
                if not str(error).startswith("MOVED "):
                    raise
                self._map_is_stale = True
                url = self._moved_to(str(error), url)  # the other one did not run the command
            except LockUnavailable:
                self._map_is_stale = True  # another node may be the master of the slot now
                raise
        raise LockUnavailable(f"slot {slot} was moved {_REDIRECTS} times while a call looked for it")

    def _master_of(self, slot: int) -> str:
        for slots, url in self._masters:
            if slot in slots:
                return url
        self._map_is_stale = True
        raise LockUnavailable.unsent(f"no master of the cluster serves slot {slot}")

    def _moved_to(self, error: str, sender: str) -> str:
        """The URL that `MOVED <slot> <host>:<port>` names; without a host it is the host of the sender."""
        host, _, port = error.split(" ")[2].rpartition(":")
        return at_other_node(self._seeds[0] if host else sender, host, int(port))

    async def _refresh(self, timeout_s: float) -> None:
        """Query any node for the slot map; forget the nodes that are no masters any more.

        A silent node leaves time for the others. Many callers may need the map at once: one of them queries, and not
        without a pause.
        """
        if self._masters and time.monotonic() < self._refresh_at:
            return
        self._refresh_at = time.monotonic() + _REFRESH_PAUSE_S
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
            changed, self._masters, self._map_is_stale = masters != self._masters, masters, False
            await self._forget_all_but({url for _, url in masters})
            if changed and self._listening is not None:
                self._listening[2]()
            return
        raise LockUnavailable.unsent(f"no node of the cluster answers: {trouble}")

    def _url_of(self, node: Sequence[Any], sender: str) -> str:
        """The node's URL. A node that does not know its own host is the sender."""
        host = node[0].decode() if node[0] else ""
        return at_other_node(sender if host in ("", "?") else self._seeds[0], host if host != "?" else "", int(node[1]))

    async def _forget_all_but(self, masters: set[str]) -> None:
        for url in [url for url in self._nodes if url not in masters]:
            self._subscribed_at.discard(url)
            if (node := self._nodes.pop(url, None)) is not None:
                await node.close()

    async def masters(self, timeout_s: float) -> list[Transport]:
        """Every master, e.g. to search all keys."""
        if self._map_is_stale:
            await self._refresh(timeout_s)
        return [self._node(url) for url in dict.fromkeys(url for _, url in self._masters)]

    async def master_of(self, key: str, timeout_s: float) -> Transport:
        """The master that serves this key."""
        if self._map_is_stale:
            await self._refresh(timeout_s)
        return self._node(self._master_of(slot_of(key)))

    async def listen(self, channel: str, on_message: OnMessage, on_reconnect: OnReconnect, timeout_s: float) -> None:
        """Subscribe at one master now, to learn whether the user may; at each other one before its next call.

        A master that is away does no harm: this process subscribes there once it is back.
        """
        end = time.monotonic() + timeout_s
        if self._map_is_stale:
            await self._refresh(timeout_s)
        self._listening = (channel, on_message, on_reconnect)
        self._subscribed_at.clear()  # a parent's subscriptions, or another loop's, are not ours
        urls = list(dict.fromkeys(url for _, url in self._masters))
        for number, url in enumerate(urls):
            try:
                await self._node(url).listen(*self._listening, _left_s(end) / (len(urls) - number))
            except ServerError:
                self._listening = None
                raise
            except LockUnavailable:
                self._map_is_stale = True
                continue
            self._subscribed_at.add(url)
            return
        self._listening = None
        raise LockUnavailable.unsent("no master of the cluster can be listened at")

    async def _subscribe_at(self, url: str, timeout_s: float) -> None:
        if self._listening is None or url in self._subscribed_at:
            return
        with contextlib.suppress(ServerError):  # the user has no right to the channel here: its waiters poll
            await self._node(url).listen(*self._listening, timeout_s)
        self._subscribed_at.add(url)

    def change_loop(self) -> None:
        """In another event loop: forget every connection of the old one."""
        self._subscribed_at.clear()
        for node in [*self._nodes.values()]:
            if isinstance(node, ChangesLoop):
                node.change_loop()

    async def distrust(self) -> None:
        self._map_is_stale = True
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
