"""A client of redis-py as a lock needs it: a copy on connections of its own, which never retry and end in time.

Its own retries are switched off: a lock must know when a command was sent twice, and must not wait behind its back
(redis-py 8 turned an 8 s BLPOP into 59 s). Every wait of a copied connection asks how much time the present call has
left: looking up the name, connecting, TLS, login, asking a Sentinel, sending, reading. Neighbour: `client.py`.
"""

import contextlib
import copy
import socket
import threading
import time
import weakref
from asyncio import CancelledError
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from stockade.core import NotSupported
from stockade.drivers.resolve import places, places_async
from stockade.locks.errors import missing
from stockade.locks.redis.transport.sockets import HangUp
from stockade.locks.runtime import leftover

_NO_CALL_S = 0.5  # how long a connection waits where no call is under way, e.g. while it is closed
_LEAST_S = 0.001
_SLACK, _MOST_SLACK = 1.0625, 1.125
BAD_REPLY = (AttributeError, TypeError, ValueError, LookupError)  # redis-py's, when a greeting is answered oddly
_DROPPED = (
    "maint_notifications_config", "maint_notifications_pool_handler", "oss_cluster_maint_notifications_handler",
    "orig_host_address", "orig_socket_timeout", "orig_socket_connect_timeout", "retry_on_error",
)  # fmt: skip


def load_redis() -> Any:
    """The redis package.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import redis
        import redis.asyncio
        import redis.asyncio.sentinel
        import redis.sentinel
    except ImportError as error:
        raise missing("redis", "redis") from error
    return redis


class Turn:
    """The call that is under way in this thread or task. Copied connections that are used in its block end in time."""

    __slots__ = ("_token", "end", "sent")

    def __init__(self, end: float) -> None:
        self.end = end  # monotonic second
        self.sent = False  # whether anything but a greeting went out

    def left_s(self) -> float:
        """What it may still take."""
        return max(self.end - time.monotonic(), _LEAST_S)

    def __enter__(self) -> "Turn":
        self._token = _turn.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            _turn.reset(self._token)
        except ValueError:  # in another context: its task's loop has ended, and the garbage collector closes it
            return


_turn: "ContextVar[Turn | None]" = ContextVar("stockade_lock_call", default=None)


def turn(timeout_s: float) -> Turn:
    """`with turn(timeout_s)`: copied connections that are used inside end within `timeout_s` seconds."""
    return Turn(time.monotonic() + timeout_s)


def own_copy(client: Any, *, asyncio: bool) -> Any:
    """A client like `client`, on connections of its own; one of Sentinel's asks the same Sentinels, on its own as well.

    Args:
        client: of redis-py, with any pool and any kind of connection.
        asyncio: whether it has to be one of `redis.asyncio`.

    Raises:
        NotSupported: it is a cluster's.
        TypeError: it is no client of redis-py, or of the other face.
    """
    redis = load_redis()
    if isinstance(client, redis.RedisCluster | redis.asyncio.RedisCluster):
        raise NotSupported("redis-py's cluster client repeats calls by itself: RedisLocks(url of a node, cluster=True)")
    wanted = redis.asyncio.Redis if asyncio else redis.Redis
    pool = getattr(client, "connection_pool", None)
    if not isinstance(client, wanted) or not isinstance(getattr(pool, "connection_class", None), type):
        name = "redis.asyncio.Redis" if asyncio else "redis.Redis"
        raise TypeError(f"expected a URL or a {name}, got {type(client).__module__}.{type(client).__name__}")
    return wanted(connection_pool=_pool_like(pool, 1.0, asyncio=asyncio))


def where_of(client: Any) -> str:
    """The server that a client leads to, for messages: no password in it."""
    pool = client.connection_pool
    manager, given = getattr(pool, "sentinel_manager", None), pool.connection_kwargs
    if manager is not None:
        return f"{pool.service_name} of the Sentinels {', '.join(map(where_of, manager.sentinels))}"
    return str(given.get("path") or f"{given.get('host', 'localhost')}:{given.get('port', 6379)}")


def pools_of(client: Any) -> list[Any]:
    """The pools of a copy: its own, and those of the copied Sentinels."""
    pool = client.connection_pool
    manager = getattr(pool, "sentinel_manager", None)
    return [pool, *(each.connection_pool for each in (manager.sentinels if manager else ()))]


def connections_of(client: Any, *, idle_only: bool = False) -> list[Any]:
    """The connections of a copy; redis-py tells of them only to itself."""
    found: list[Any] = []
    for state in map(vars, pools_of(client)):
        found += [*state["_available_connections"], *(() if idle_only else state["_in_use_connections"])]
    return found


def _pool_like(pool: Any, share: float, *, asyncio: bool) -> Any:
    """An empty pool with the settings of `pool`, whose connections use at most `share` of what a call has left."""
    own, kind = copy.copy(pool), pool.connection_class
    own.connection_class = type(
        f"Own{kind.__name__}", (_TimelyTask if asyncio else _TimelyThread, kind), {"share_of_turn": share}
    )
    own.connection_kwargs = _settings_like(pool, asyncio=asyncio)
    vars(own).update(_maint_notifications_pool_handler=None, _oss_cluster_maint_notifications_handler=None, cache=None)
    if hasattr(pool, "sentinel_manager"):
        _watch_like(own, pool, asyncio=asyncio)
    if asyncio:
        _renew_tasks(own)
    else:
        _renew_threads(own)
    return own


def _settings_like(pool: Any, *, asyncio: bool) -> dict[str, Any]:
    from redis.asyncio.retry import Retry as AsyncRetry
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    kept = {name: value for name, value in pool.connection_kwargs.items() if name not in _DROPPED}
    kept |= {"retry": (AsyncRetry if asyncio else Retry)(NoBackoff(), 0), "retry_on_timeout": False}
    return kept | {"decode_responses": False, "health_check_interval": 0}


def _renew_threads(own: Any) -> None:
    vars(own).update(_lock=threading.RLock(), _fork_lock=threading.RLock())
    vars(own).update(_available_connections=[], _in_use_connections=set(), _connections=[])
    if "timeout" in vars(own):  # a pool that waits for a free connection
        kind = type(own)
        own.__class__ = type(f"Own{kind.__name__}", (kind,), {"timeout": property(_patience_of, _set_patience)})
    own.reset()


def _patience_of(pool: Any) -> float:
    """How long a pool lets a thread wait: as its maker said, but not longer than the call."""
    call, most_s = _turn.get(), vars(pool)["timeout"]
    left_s = _NO_CALL_S if call is None else call.left_s()
    return left_s if most_s is None else float(min(most_s, left_s))


def _set_patience(pool: Any, seconds: float | None) -> None:
    vars(pool)["timeout"] = seconds


def _renew_tasks(own: Any) -> None:
    from asyncio import Condition, Lock

    vars(own).update(_lock=Lock(), _available_connections=[], _in_use_connections=set())
    if "_condition" in vars(own):
        vars(own)["_condition"] = Condition()
    own.reset()


def _watch_like(own: Any, pool: Any, *, asyncio: bool) -> None:
    """The same service of the same Sentinels; a silent one leaves time for the others and for the master."""
    manager = copy.copy(pool.sentinel_manager)
    share = 1.0 / (len(manager.sentinels) + 1)
    manager.sentinels = [
        type(each)(connection_pool=_pool_like(each.connection_pool, share, asyncio=asyncio))
        for each in manager.sentinels
    ]
    own.sentinel_manager = manager
    if asyncio:
        own.connection_kwargs["connection_pool"] = weakref.proxy(own)
        return
    own.proxy = type(pool.proxy)(
        connection_pool=own,
        is_master=pool.is_master,
        check_connection=pool.check_connection,
        service_name=pool.service_name,
        sentinel_manager=manager,
    )
    own.connection_kwargs["connection_pool"] = own.proxy


class _Timely:
    """The time limits of a connection, as the call that is under way has them."""

    share_of_turn = 1.0
    bounded_outside = False

    def left_s(self) -> float:
        call = _turn.get()
        return _NO_CALL_S if call is None else max(call.left_s() * self.share_of_turn, _LEAST_S)

    @property
    def socket_timeout(self) -> float | None:
        """None where the whole call has a timer anyway: another one for each reply costs a tenth of the call."""
        return None if self.bounded_outside and self.share_of_turn == 1.0 else self.left_s()

    @socket_timeout.setter
    def socket_timeout(self, seconds: float | None) -> None:
        """Nothing that is set counts."""

    @property
    def socket_connect_timeout(self) -> float:
        return self.left_s()

    @socket_connect_timeout.setter
    def socket_connect_timeout(self, seconds: float | None) -> None:
        """Nothing that is set counts."""

    @contextlib.contextmanager
    def _greeting(self) -> Iterator[None]:
        """What is sent meanwhile is not the call itself."""
        call = _turn.get()
        before = call is not None and call.sent
        try:
            yield
        finally:
            if call is not None:
                call.sent = before


class _TimelyThread(_Timely):
    """Before a connection class of redis-py in the order of bases."""

    def connect(self) -> None:
        if getattr(self, "_sock", None):
            return
        with self._greeting():
            try:
                super().connect()  # type: ignore[misc]  # redis-py's
            except BAD_REPLY:  # which it does not expect, so it leaves the connection open
                self.disconnect()  # type: ignore[attr-defined]
                raise

    def _connect(self) -> Any:
        host = getattr(self, "host", None)
        if isinstance(host, str):  # once with a bound; redis-py then asks again, of a name server that has answered
            places(host, self.port, time.monotonic() + self.left_s())  # type: ignore[attr-defined]
        made = super()._connect()  # type: ignore[misc]
        return _TimelySocket(made, self) if isinstance(made, socket.socket) else made

    def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        call = _turn.get()
        if call is not None and getattr(self, "_sock", None):
            call.sent = True
        super().send_packed_command(*args, **kwargs)  # type: ignore[misc]


class _TimelySocket:
    """A socket that looks at the clock before each piece that it sends or receives."""

    def __init__(self, real: socket.socket, timely: _Timely) -> None:
        self._real = real
        self._asked_s: float | None = None  # what redis-py wants; None: nothing of its own
        self._share = timely.share_of_turn
        self._limit_s = self._enough_s = 0.0  # what is set; it can stay as long as so much is left
        self.fileno = real.fileno  # asked for in each call, as the next one
        self.pending = getattr(real, "pending", _nothing_pending)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def settimeout(self, seconds: float | None) -> None:
        self._asked_s = seconds
        self._limit_s = self._enough_s = 0.0
        self._real.settimeout(seconds)

    def _bound(self) -> None:
        """Bound the next wait, by an eighth more at most: a limit that can stay costs no system call."""
        call = _turn.get()
        if call is not None:
            left_s = (call.end - time.monotonic()) * self._share
        else:
            left_s = _NO_CALL_S if self._asked_s is None else min(self._asked_s, _NO_CALL_S)
        if not self._enough_s <= left_s <= self._limit_s:
            self._limit_s = _SLACK * max(left_s, _LEAST_S)
            self._enough_s = self._limit_s / _MOST_SLACK
            self._real.settimeout(self._limit_s)

    def sendall(self, data: bytes) -> None:
        self._bound()
        self._real.sendall(data)

    def recv(self, *args: Any) -> bytes:
        self._bound()
        return self._real.recv(*args)

    def recv_into(self, buffer: Any) -> int:
        self._bound()
        return self._real.recv_into(buffer)


def _nothing_pending() -> int:
    return 0


class _TimelyTask(_Timely):
    """The same for asyncio, where the whole call has a limit as well."""

    bounded_outside = True
    _reader: Any
    _writer: Any
    _asked: Any = None  # the writer whose hang-up is looked for
    _hang_up: HangUp | None = None

    async def connect(self) -> None:
        if self.is_connected:  # type: ignore[attr-defined]
            return
        with self._greeting():
            try:
                await super().connect()  # type: ignore[misc]
            except (*BAD_REPLY, CancelledError):
                await self.disconnect(nowait=True)  # type: ignore[attr-defined]
                raise

    async def _connect(self) -> None:
        host = getattr(self, "host", None)
        if isinstance(host, str):  # redis-py's own look-up would keep a thread that the loop waits for at its end
            await places_async(host, self.port)  # type: ignore[attr-defined]
        await super()._connect()  # type: ignore[misc]

    def end(self) -> None:
        """Close the socket after the end of its event loop."""
        if self._writer is not None:
            leftover.end(self._writer.transport)
        self._reader = self._writer = None

    async def can_read(self) -> bool:
        """redis-py asks before it uses a kept connection; the loop may not have heard of its end yet."""
        writer = getattr(self, "_writer", None)
        if writer is not self._asked:
            sock = None if writer is None else writer.get_extra_info("socket")
            self._asked, self._hang_up = writer, None if sock is None else HangUp(sock.fileno())
        if self._hang_up is not None and self._hang_up.seen():
            raise ConnectionError("closed by the server while it was idle")
        return bool(await super().can_read())  # type: ignore[misc]

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        call = _turn.get()
        if call is not None:
            call.sent = True
        await super().send_packed_command(*args, **kwargs)  # type: ignore[misc]
