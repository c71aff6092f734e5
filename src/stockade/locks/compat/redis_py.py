"""redis-py's `Lock`, drop-in: `client.lock("name", timeout=10, lock_class=Lock)`.

Subclasses of redis-py's own. Signatures, errors, polling and storage are the same (the token is a plain string at the
name, without a TTL unless there is a `timeout`), so both kinds exclude each other. What differs:

- cancelling or interrupting `acquire` leaves no key behind;
- a repeated or lost reply does no harm, and an unanswered `release` can be called again;
- in asyncio the token belongs to the task;
- no call waits for a silent server longer than its `blocking_timeout`, or `_CALL_S` without one; the key that such a
  call may have left is released in the background.

Fairness, renewal and fencing tokens come with `RedisLocks`.
"""

import asyncio
import time
from typing import Any, Literal

from stockade.core.extras import require

require("redis")

from redis import Redis
from redis.asyncio.lock import Lock as TheirAsyncLock
from redis.exceptions import LockNotOwnedError, RedisError
from redis.lock import Lock as TheirLock

from stockade.core import NotSupported
from stockade.locks.engine.lock_request import LockRequest, Spec
from stockade.locks.engine.release_retry import ReleaseRetry
from stockade.locks.errors import LockUnavailable
from stockade.locks.events import log
from stockade.locks.redis.script import script
from stockade.locks.redis.transport.redis_py.asyncio_client import AsyncClientTransport
from stockade.locks.redis.transport.redis_py.blocking_client import ClientTransport
from stockade.locks.redis.transport.transport import Server, ServerError
from stockade.locks.runtime.async_runtime import AsyncRuntime
from stockade.locks.runtime.identity import new_id
from stockade.locks.runtime.runtime import Runtime
from stockade.locks.runtime.sync_runtime import SyncRuntime, run

_TRANSPORT = "_stockade_transport"  # the attribute of a client that holds our connections
_CALL_S = 3.0  # of one call
_CALL_LEAST_S = 0.15  # of a call whose time limit is near
_WITHDRAW_S = 0.25  # for how long an interrupted caller waits for its withdrawal
_RETRY_S = 60.0  # for how long the release of a key without a TTL is repeated
_TEXT = "latin-1"  # tokens are any bytes; an owner is a text


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _call_of(lock: Any, verb: str, *args: Any) -> tuple[Any, ...]:
    """The command that runs one of our scripts on the lock's key."""
    key = bytes(lock.name) if isinstance(lock.name, memoryview) else lock.name
    return "EVAL", script(f"compat_{verb}").text, 1, key, *args


def _acquire_call(lock: Any, token: Any) -> tuple[Any, ...]:
    return _call_of(lock, "acquire", token, int(lock.timeout * 1000) if lock.timeout else 0)


def _extend_call(lock: Any, additional_time: float, replace_ttl: bool) -> tuple[Any, ...]:
    return _call_of(lock, "extend", lock.local.token, int(additional_time * 1000), "1" if replace_ttl else "0")


def _owned_or_raise(lock: Any, answer: Any, doing: str) -> Literal[True]:
    if int(answer) != 1:
        name = lock.name if isinstance(lock.name, str) else bytes(lock.name).decode()
        error = LockNotOwnedError(f"Cannot {doing} a lock that's no longer owned")
        error.lock_name = name  # not a parameter in redis-py 5.0.0
        raise error
    return True


class _Withdrawals:
    """Releases keys that a failed call may have left behind, in the background, until the server has answered.

    Args:
        runtime: time, waiting and background work.
        lock: the lock of these keys.
        server: its server.
    """

    def __init__(self, runtime: Runtime, lock: Any, server: Server) -> None:
        self._runtime = runtime
        self._lock = lock
        self._server = server
        self._ends: dict[bytes, float] = {}
        self._release_retry = ReleaseRetry(runtime, self._release, self._one)

    @staticmethod
    async def _one(works: Any) -> list[Any]:
        return [await work for work in works]

    async def _release(self, server: Server, request: LockRequest, timeout_s: float) -> None:
        call = _call_of(self._lock, "release", request.owner_id.encode(_TEXT))
        try:
            await server.call(*call, timeout_s=min(_CALL_S, timeout_s))
        except ServerError as error:  # it would refuse again
            log.warning("key %r is left to its own end: %s", self._lock.name, error)

    def begin(self, token: bytes, limit_s: float | None) -> None:
        """A call of `acquire` begins, with a time limit or none."""
        if limit_s is not None:
            self._ends[token] = time.monotonic() + limit_s

    def end(self, token: bytes) -> None:
        """It has ended."""
        self._ends.pop(token, None)

    def left_s(self, token: bytes) -> float:
        """Seconds for its next call to the server."""
        end = self._ends.get(token)
        return _CALL_S if end is None else min(_CALL_S, max(end - time.monotonic(), _CALL_LEAST_S))

    async def withdraw(self, token: bytes, error: BaseException) -> None:
        """After a call that failed: briefly now when it was interrupted, else in the background."""
        if isinstance(error.__context__, ServerError):  # a refused call has taken nothing
            return
        unanswered = error.__context__ if isinstance(error.__context__, LockUnavailable) else None
        if unanswered is not None and not unanswered.sent:
            return
        request = LockRequest(Spec(f"key {self._lock.name}"), token.decode(_TEXT))
        try:
            if unanswered is None and not isinstance(error, RedisError | OSError):
                await self._release(self._server, request, _WITHDRAW_S)
                return
        except LockUnavailable:  # repeated in the background
            pass
        self._release_retry.retry(request, [self._server], self._runtime.now() + (self._lock.timeout or _RETRY_S))


class _TaskLocal:
    """One token per task, as `threading.local` has one per thread.

    A token whose task has ended goes to the next task that asks: `asyncio.wait_for(lock.acquire(), 1)` acquires in a
    task of its own before Python 3.12.
    """

    def __init__(self) -> None:
        self._tokens: dict[asyncio.Task[Any] | None, bytes] = {}

    @property
    def token(self) -> bytes | None:
        me = _current_task()
        if me not in self._tokens:
            ended = next((task for task in self._tokens if task is not None and task.done()), None)
            if ended is not None:
                self._tokens[me] = self._tokens.pop(ended)
        return self._tokens.get(me)

    @token.setter
    def token(self, value: bytes | None) -> None:
        me = _current_task()
        if value is None:
            self._tokens.pop(me, None)
        else:
            self._tokens[me] = value


def _current_task() -> "asyncio.Task[Any] | None":
    """The running task; None outside of a loop, where redis-py allows to make a lock and to look at its token."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _transport_of(client: Any) -> ClientTransport:
    """Connections of our own, whose calls end in time; one small pool for all locks of a client.

    A client that cannot be copied (a cluster's), or whose `execute_command` was replaced, is used as it is, with the
    time limits that it has.
    """
    kept = vars(client).get(_TRANSPORT)
    if kept is None:
        usual = getattr(client.execute_command, "__func__", None) is Redis.execute_command
        try:
            made = ClientTransport(client, own=usual)
        except (NotSupported, TypeError):
            made = ClientTransport(client, own=False)
        kept = vars(client).setdefault(_TRANSPORT, made)  # another thread may have been first
    return kept  # type: ignore[no-any-return]


class Lock(TheirLock):
    """redis-py's `redis.lock.Lock`; arguments, results and errors are documented there."""

    def register_scripts(self) -> None:
        """Called at the end of redis-py's constructor: make the transport."""
        self._transport = _transport_of(self.redis)
        self._withdrawals = _Withdrawals(SyncRuntime(), self, self._transport)

    def _call(self, parts: tuple[Any, ...], timeout_s: float = _CALL_S) -> Any:
        try:
            return run(self._transport.call(*parts, timeout_s=timeout_s))
        except (LockUnavailable, ServerError) as error:
            raise error.__cause__ or error from None

    def acquire(
        self,
        sleep: float | None = None,
        blocking: bool | None = None,
        blocking_timeout: float | None = None,
        token: str | None = None,
    ) -> bool:
        """Poll until the lock is granted (True) or the time is up (False)."""
        mine: Any = new_id().encode() if token is None else self.redis.get_encoder().encode(token)
        self._withdrawals.begin(mine, self.blocking_timeout if blocking_timeout is None else blocking_timeout)
        try:
            return bool(super().acquire(sleep, blocking, blocking_timeout, mine))
        except BaseException as error:  # Ctrl-C, or a reply that never came: the key may be there
            run(self._withdrawals.withdraw(mine, error))
            raise
        finally:
            self._withdrawals.end(mine)

    def do_acquire(self, token: Any) -> bool:
        """One try, safe to repeat."""
        return bool(self._call(_acquire_call(self, token), self._withdrawals.left_s(token)))

    def locked(self) -> bool:
        """Whether anybody holds it."""
        return self._call(("GET", self.name)) is not None

    def release(self) -> None:
        """Release it; the token is kept until the server has answered."""
        token = self.local.token
        if token is None:
            return super().release()  # raises
        try:
            self.do_release(token)
        except LockNotOwnedError:
            self.local.token = None
            raise
        self.local.token = None
        return None

    def do_release(self, expected_token: Any) -> None:
        """Release by token."""
        _owned_or_raise(self, self._call(_call_of(self, "release", expected_token)), "release")

    def do_extend(self, additional_time: float, replace_ttl: bool) -> Literal[True]:
        """Add to what is left, or replace it."""
        return _owned_or_raise(self, self._call(_extend_call(self, additional_time, replace_ttl)), "extend")

    def do_reacquire(self) -> Literal[True]:
        """Start the full timeout anew."""
        return _owned_or_raise(self, self._call(_extend_call(self, self.timeout or 0, True)), "reacquire")


class AsyncLock(TheirAsyncLock):
    """redis-py's `redis.asyncio.lock.Lock`; arguments, results and errors are documented there."""

    def register_scripts(self) -> None:
        """Called at the end of redis-py's constructor: make the transport, and one token per task."""
        self._transport = AsyncClientTransport(self.redis, own=False)
        self._runtime = AsyncRuntime()
        self._withdrawals = _Withdrawals(self._runtime, self, self._transport)
        if self.thread_local:
            self.local: Any = _TaskLocal()

    async def _call(self, parts: tuple[Any, ...], timeout_s: float = _CALL_S) -> Any:
        try:
            return await self._transport.call(*parts, timeout_s=timeout_s)
        except (LockUnavailable, ServerError) as error:
            raise error.__cause__ or error from None

    async def acquire(
        self, blocking: bool | None = None, blocking_timeout: float | None = None, token: str | bytes | None = None
    ) -> bool:
        """Poll until the lock is granted (True) or the time is up (False)."""
        mine = new_id().encode() if token is None else _bytes(token)
        self._withdrawals.begin(mine, self.blocking_timeout if blocking_timeout is None else blocking_timeout)
        try:
            return bool(await super().acquire(blocking, blocking_timeout, mine))
        except BaseException as error:  # cancelled, or a reply that never came: the key may be there
            self._runtime.run_to_end(self._withdrawals.withdraw(mine, error))
            raise
        finally:
            self._withdrawals.end(mine)

    async def do_acquire(self, token: Any) -> bool:
        """One try, safe to repeat."""
        return bool(await self._call(_acquire_call(self, token), self._withdrawals.left_s(token)))

    async def locked(self) -> bool:
        """Whether anybody holds it."""
        return await self._call(("GET", self.name)) is not None

    async def release(self) -> None:
        """Release; the token is kept until the server has answered, as in the newest redis-py."""
        token = self.local.token
        if token is None:
            await super().release()  # raises its own error
            return
        try:
            await self.do_release(token)
        except LockNotOwnedError:
            self.local.token = None
            raise
        self.local.token = None

    async def do_release(self, expected_token: Any) -> None:
        """Release by token."""
        _owned_or_raise(self, await self._call(_call_of(self, "release", expected_token)), "release")

    async def do_extend(self, additional_time: float, replace_ttl: bool) -> Literal[True]:
        """Add to what is left, or replace it."""
        return _owned_or_raise(self, await self._call(_extend_call(self, additional_time, replace_ttl)), "extend")

    async def do_reacquire(self) -> Literal[True]:
        """Start the full timeout anew."""
        return _owned_or_raise(self, await self._call(_extend_call(self, self.timeout or 0, True)), "reacquire")
