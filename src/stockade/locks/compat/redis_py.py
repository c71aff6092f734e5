"""redis-py's `Lock`, drop-in: `client.lock("name", timeout=10, lock_class=Lock)`.

Same signatures, errors and storage (the token as plain string at the name, no TTL without `timeout`), so both kinds may
run side by side. Different: cancelling or interrupting `acquire` leaves no key behind, a repeated or lost reply does
no harm, an unanswered `release` can be called again, and in asyncio the token belongs to the task. It polls, as
redis-py's does; fairness, renewal and fencing tokens come with `RedisLocks`.
"""

import asyncio
import threading
import time
from types import SimpleNamespace, TracebackType
from typing import Any, Self

from redis.exceptions import LockError, LockNotOwnedError

from stockade.locks.blocking import run
from stockade.locks.errors import LockUnavailable
from stockade.locks.identity import new_id
from stockade.locks.script import script
from stockade.locks.wire.client import AsyncClientTransport, ClientTransport

_CALL_S = 5.0


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


class _TaskLocal:
    """One token per task, as `threading.local` has one per thread.

    A token whose task has ended goes to the next task that asks: `asyncio.wait_for(lock.acquire(), 1)` acquires in a
    task of its own before Python 3.12.
    """

    def __init__(self) -> None:
        self._tokens: dict[asyncio.Task[Any] | None, bytes] = {}

    @property
    def token(self) -> bytes | None:
        me = asyncio.current_task()
        if me not in self._tokens:
            ended = next((task for task in self._tokens if task is not None and task.done()), None)
            if ended is not None:
                self._tokens[me] = self._tokens.pop(ended)
        return self._tokens.get(me)

    @token.setter
    def token(self, value: bytes | None) -> None:
        me = asyncio.current_task()
        if value is None:
            self._tokens.pop(me, None)
        else:
            self._tokens[me] = value


class _Base:
    """What both faces share: arguments and the meaning of answers."""

    def __init__(
        self,
        redis: Any,
        name: str | bytes | memoryview,
        timeout: float | None = None,
        sleep: float = 0.1,
        blocking: bool = True,
        *,
        blocking_timeout: float | None = None,
        thread_local: bool = True,
        raise_on_release_error: bool = True,
    ) -> None:
        self.redis = redis
        self.name = name
        self.timeout = timeout
        self.sleep = sleep
        self.blocking = blocking
        self.blocking_timeout = blocking_timeout
        self.thread_local = bool(thread_local)
        self.raise_on_release_error = raise_on_release_error
        self.local: Any = SimpleNamespace(token=None)
        if self.timeout and self.sleep > self.timeout:
            raise LockError("'sleep' must be less than 'timeout'", lock_name=self._text)

    @property
    def _text(self) -> str:
        name = bytes(self.name) if isinstance(self.name, memoryview) else self.name
        return name.decode() if isinstance(name, bytes) else name

    def _acquire_call(self, token: bytes) -> tuple[Any, ...]:
        own = script("compat_acquire")
        ttl_ms = 0 if self.timeout is None else int(self.timeout * 1000)
        return "EVAL", own.text, 1, self._text, token, ttl_ms

    def _release_call(self, token: bytes) -> tuple[Any, ...]:
        return "EVAL", script("compat_release").text, 1, self._text, token

    def _extend_call(self, additional_time: float, replace_ttl: bool) -> tuple[Any, ...]:
        if self.local.token is None:
            raise LockError("Cannot extend an unlocked lock", lock_name=self._text)
        if self.timeout is None:
            raise LockError("Cannot extend a lock with no timeout", lock_name=self._text)
        words = (int(additional_time * 1000), "1" if replace_ttl else "0")
        return "EVAL", script("compat_extend").text, 1, self._text, self.local.token, *words

    def _reacquire_call(self) -> tuple[Any, ...]:
        if self.local.token is None:
            raise LockError("Cannot reacquire an unlocked lock", lock_name=self._text)
        if self.timeout is None:
            raise LockError("Cannot reacquire a lock with no timeout", lock_name=self._text)
        return self._extend_call(self.timeout, True)

    def _waits(self, blocking: bool | None, blocking_timeout: float | None) -> tuple[bool, float | None]:
        chosen = self.blocking_timeout if blocking_timeout is None else blocking_timeout
        waits = self.blocking if blocking is None else blocking
        return waits, None if chosen is None else time.monotonic() + chosen

    def _owned_or_raise(self, answer: Any, doing: str) -> bool:
        if int(answer) != 1:
            raise LockNotOwnedError(f"Cannot {doing} a lock that's no longer owned", lock_name=self._text)
        return True

    def _token_to_release(self) -> bytes | None:
        """The caller's token; None when releasing an unlocked lock is to be passed over."""
        if self.local.token is None and self.raise_on_release_error:
            raise LockError("Cannot release a lock that's not owned or is already unlocked.", lock_name=self._text)
        token: bytes | None = self.local.token
        return token


class Lock(_Base):
    """redis-py's `redis.lock.Lock`; arguments, results and errors are documented there."""

    def __init__(self, redis: Any, name: str | bytes | memoryview, *args: Any, **kwargs: Any) -> None:
        super().__init__(redis, name, *args, **kwargs)
        self._transport = ClientTransport(redis, own=False)
        if self.thread_local:
            self.local = threading.local()
            self.local.token = None

    def _call(self, parts: tuple[Any, ...]) -> Any:
        try:
            return run(self._transport.call(*parts, timeout_s=_CALL_S))
        except LockUnavailable as error:
            raise error.__cause__ or error from None

    def acquire(
        self,
        sleep: float | None = None,
        blocking: bool | None = None,
        blocking_timeout: float | None = None,
        token: str | bytes | None = None,
    ) -> bool:
        """Poll until the lock is ours (True) or the time is up (False)."""
        pause_s = self.sleep if sleep is None else sleep
        mine = _bytes(new_id() if token is None else token)
        waits, end = self._waits(blocking, blocking_timeout)
        try:
            while not self._call(self._acquire_call(mine)):
                if not waits or (end is not None and time.monotonic() + pause_s > end):
                    return False
                time.sleep(pause_s)
        except KeyboardInterrupt:
            self._call(self._release_call(mine))
            raise
        self.local.token = mine
        return True

    def release(self) -> None:
        """Give it back; the token is kept until the server has answered."""
        token = self._token_to_release()
        if token is not None:
            self.do_release(token)

    def do_release(self, expected_token: bytes) -> None:
        """Release by token."""
        answer = self._call(self._release_call(expected_token))
        self.local.token = None
        if self.raise_on_release_error:
            self._owned_or_raise(answer, "release")

    def locked(self) -> bool:
        """Whether anybody holds it."""
        return self.redis.get(self.name) is not None

    def owned(self) -> bool:
        """Whether the caller holds it."""
        stored = self.redis.get(self.name)
        return self.local.token is not None and stored is not None and _bytes(stored) == self.local.token

    def extend(self, additional_time: float, replace_ttl: bool = False) -> bool:
        """Add to what is left, or replace it."""
        return self._owned_or_raise(self._call(self._extend_call(additional_time, replace_ttl)), "extend")

    def reacquire(self) -> bool:
        """Start the full timeout anew."""
        return self._owned_or_raise(self._call(self._reacquire_call()), "reacquire")

    def __enter__(self) -> Self:
        if self.acquire():
            return self
        raise LockError("Unable to acquire lock within the time specified", lock_name=self._text)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class AsyncLock(_Base):
    """redis-py's `redis.asyncio.lock.Lock`; arguments, results and errors are documented there."""

    def __init__(self, redis: Any, name: str | bytes | memoryview, *args: Any, **kwargs: Any) -> None:
        super().__init__(redis, name, *args, **kwargs)
        self._transport = AsyncClientTransport(redis, own=False)
        self._cleaning: set[asyncio.Task[Any]] = set()
        if self.thread_local:
            self.local = _TaskLocal()

    async def _call(self, parts: tuple[Any, ...]) -> Any:
        try:
            return await self._transport.call(*parts, timeout_s=_CALL_S)
        except LockUnavailable as error:
            raise error.__cause__ or error from None

    async def acquire(
        self,
        sleep: float | None = None,
        blocking: bool | None = None,
        blocking_timeout: float | None = None,
        token: str | bytes | None = None,
    ) -> bool:
        """Poll until the lock is ours (True) or the time is up (False)."""
        pause_s = self.sleep if sleep is None else sleep
        mine = _bytes(new_id() if token is None else token)
        waits, end = self._waits(blocking, blocking_timeout)
        try:
            while not await self._call(self._acquire_call(mine)):
                if not waits or (end is not None and time.monotonic() + pause_s > end):
                    return False
                await asyncio.sleep(pause_s)
        except asyncio.CancelledError:
            cleaning = asyncio.create_task(self._call(self._release_call(mine)))
            self._cleaning.add(cleaning)
            cleaning.add_done_callback(self._cleaning.discard)
            raise
        self.local.token = mine
        return True

    async def release(self) -> None:
        """Give it back; the token is kept until the server has answered."""
        token = self._token_to_release()
        if token is not None:
            await self.do_release(token)

    async def do_release(self, expected_token: bytes) -> None:
        """Release by token."""
        answer = await self._call(self._release_call(expected_token))
        self.local.token = None
        if self.raise_on_release_error:
            self._owned_or_raise(answer, "release")

    async def locked(self) -> bool:
        """Whether anybody holds it."""
        return await self.redis.get(self.name) is not None

    async def owned(self) -> bool:
        """Whether the caller holds it."""
        stored = await self.redis.get(self.name)
        return self.local.token is not None and stored is not None and _bytes(stored) == self.local.token

    async def extend(self, additional_time: float, replace_ttl: bool = False) -> bool:
        """Add to what is left, or replace it."""
        return self._owned_or_raise(await self._call(self._extend_call(additional_time, replace_ttl)), "extend")

    async def reacquire(self) -> bool:
        """Start the full timeout anew."""
        return self._owned_or_raise(await self._call(self._reacquire_call()), "reacquire")

    async def __aenter__(self) -> Self:
        if await self.acquire():
            return self
        raise LockError("Unable to acquire lock within the time specified", lock_name=self._text)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()
