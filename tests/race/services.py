"""Services for races: one in this process that answers as a test says, and one of the examples in its own process."""

import asyncio
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager, suppress

from stockade.devservers.process import free_port
from stockade.race import Fire, Request, Scenario, Target
from tests.docs.site import ROOT
from tests.waiting import eventually

EXAMPLES = ROOT / "examples" / "race"
HOST = "127.0.0.1"


def scenario(url, **parts):
    """A race of a few requests against a service; `parts` replace the usual ones."""
    race = {"buyers": 5, "rounds": 1, "timeout_s": 5.0, **parts.pop("race", {})}
    usual = {
        "name": "tests",
        "target": Target(url=url),
        "requests": [Request(path="/orders", json={"buyer": "{n}"})],
        "invariants": {"all are answered": "successes = sent"},
    }
    return Scenario(**{**usual, **parts}, race=Fire(**race))


def http(status, body=b"{}"):
    """An answer of HTTP."""
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)


class Service:
    """Answers in this process.

    Args:
        answer: function of head and body, or a coroutine function.
        early: answer to the first byte instead, which no request waits for.

    Attributes:
        url: where.
        opened: when each connection was there, after the handshake of TLS, of `time.perf_counter`.
        began: when the first byte of each request came.
        headed: when its head was complete, at which many servers begin.
        complete: when the last byte came.
        heads: the first lines of all requests, with their headers.
    """

    def __init__(self, answer, early=None):
        self.answer, self.early, self.url = answer, early, ""
        self.opened, self.began, self.headed, self.complete, self.heads = [], [], [], [], []
        self.connections = []

    async def serve(self, reader, writer):
        """One connection: a request with a body of known length, and its answer."""
        self.connections.append(asyncio.current_task())
        self.opened.append(time.perf_counter())
        first = await reader.read(1)
        self.began.append(time.perf_counter())
        try:
            if self.early is not None:
                writer.write(self.early)
                return
            head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
            self.headed.append(time.perf_counter())
            lengths = [line for line in head.lower().splitlines() if line.startswith("content-length:")]
            body = await reader.readexactly(int(lengths[0].partition(":")[2]) if lengths else 0)
            self.complete.append(time.perf_counter())
            self.heads.append(head)
            given = self.answer(head, body)
            writer.write(await given if asyncio.iscoroutine(given) else given)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def service(answer=lambda head, body: http(201), tls=None, early=None):
    """A service of this process; `answer` is a function of head and body, or a coroutine function."""
    made = Service(answer, early)
    server = await asyncio.start_server(made.serve, HOST, 0, ssl=tls, backlog=2048)
    made.url = f"{'https' if tls else 'http'}://{HOST}:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield made
        await asyncio.wait_for(asyncio.gather(*made.connections, return_exceptions=True), 10)


@contextmanager
def example(module, folder):
    """A service of `examples/race` in a process of its own; its URL."""
    port = free_port()
    words = ["-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", str(port), "--log-level", "error", f"{module}:app"]
    process = subprocess.Popen([sys.executable, *words], cwd=folder)
    try:
        eventually(lambda: listens(port) or process.poll() is not None, 30)
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        process.wait(10)


def listens(port):
    """Whether a process takes connections at the port."""
    import socket

    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
