"""A redis-py client of the caller's: abandoned calls, and the calls that come after them."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest

from stockade.locks.redis.transport.redis_py.asyncio_client import AsyncClientTransport
from stockade.locks.redis.transport.redis_py.bounded_connection import _Bounded, _BoundedSocket
from stockade.locks.redis.transport.redis_py.deadline import CallDeadline
from tests.locks.harness import eventually


class Client:
    """Carries out each command when its test says so, in any order, as connections of a pool may."""

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.done: list[str] = []

    async def execute_command(self, *parts: str) -> int:
        """Wait for the word, then note it."""
        await self.gates.setdefault(parts[-1], asyncio.Event()).wait()
        self.done.append(parts[-1])
        return 1


@pytest.fixture
def client() -> Client:
    """What stands for the pool."""
    return Client()


@pytest.fixture
async def transport(client: Client) -> AsyncIterator[AsyncClientTransport]:
    """Calls through it."""
    made = AsyncClientTransport(client, own=False)
    yield made
    await made.close()


def ask(transport: AsyncClientTransport, what: str) -> "asyncio.Task[int]":
    """A call for one lock, whose last argument names it."""
    return asyncio.create_task(transport.call("EVALSHA", "sha", 1, "hot", what, timeout_s=5.0))


async def cancelled(task: "asyncio.Task[int]") -> None:
    """Cancel it and see that it ended so."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("first", ["acquire 1", "acquire 2"])
async def test_a_withdrawal_comes_after_every_abandoned_call(client, transport, first):
    """Two acquires of one lock are cancelled in flight: whichever is carried out last, no withdrawal overtakes it."""
    second = {"acquire 1": "acquire 2", "acquire 2": "acquire 1"}[first]
    asked = [ask(transport, "acquire 1"), ask(transport, "acquire 2")]
    await eventually(lambda: len(client.gates) == 2)
    for task in asked:
        await cancelled(task)
    withdrawal = ask(transport, "withdraw")
    client.gates["withdraw"] = asyncio.Event()
    client.gates["withdraw"].set()
    client.gates[first].set()
    await eventually(lambda: client.done)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert client.done == [first]  # the control: it went here when only one of them was waited for
    client.gates[second].set()
    assert await withdrawal == 1
    assert client.done == [first, second, "withdraw"]
    assert not transport._abandoned


def test_a_look_that_may_not_wait_does_not():
    """redis-py before 8 looks into a pooled connection with a timeout of 0; inside a call that returns at once too."""
    ours, theirs = socket.socketpair()
    with ours, theirs, CallDeadline.after(5):
        bounded = _BoundedSocket(ours, _Bounded())
        bounded.settimeout(0)
        begun_s = time.monotonic()
        with pytest.raises(BlockingIOError):
            bounded.recv_into(bytearray(1))
        assert time.monotonic() - begun_s < 1
        bounded.settimeout(None)
        theirs.sendall(b"x")
        assert bounded.recv(1) == b"x"
