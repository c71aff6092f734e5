"""`rediss://` as users write it: authorities, certificates of clients, checks that are switched off, in both faces.

The Redis of the tests may lack TLS, so that a real TLS server, which ends the encryption, stands before it.
"""

import asyncio
import inspect
import ssl
import subprocess
import threading
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from stockade import locks as sync
from stockade.locks import aio

pytestmark = pytest.mark.redis
FACES = {"threads": sync.RedisLocks, "asyncio": aio.RedisLocks}


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """A certificate for 127.0.0.1 that is its own authority, its key, and another authority."""
    folder = tmp_path_factory.mktemp("papers")
    for name in ("mine", "other"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
             "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"],
            check=True, capture_output=True,
        )  # fmt: skip
    return folder


class Terminal:
    """Ends TLS before a server, in a thread of its own.

    Args:
        target: port of the server.
        papers: folder of the certificate.
        ask_client: whether clients must show a certificate.
    """

    def __init__(self, target, papers, ask_client):
        self._target = target
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(papers / "mine.pem", papers / "mine.key")
        if ask_client:
            self._context.load_verify_locations(papers / "mine.pem")
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda loop, context: None)  # refused handshakes are what is tested
        self._tasks = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context))
        self.port = self._server.sockets[0].getsockname()[1]

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            await asyncio.wait(
                [asyncio.ensure_future(way) for way in (pump(reader, back), pump(there, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            back.transport.abort()
            writer.transport.abort()

    def close(self):
        async def end():
            self._server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.wait(rest, timeout=2) if rest else None
            await asyncio.sleep(0)

        self._do(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


async def pump(reader, writer):
    """Bytes of one way, to its end."""
    try:
        while data := await reader.read(65_536):
            writer.write(data)
    except OSError:  # the end, too
        return


@pytest.fixture(params=[False, True], ids=["any client", "clients with papers"])
def terminal(request, redis_url, papers):
    """TLS before the run's server, and the parameters that it wants of every client."""
    made = Terminal(urlsplit(redis_url).port, papers, request.param)
    own = f"&ssl_certfile={papers}/mine.pem&ssl_keyfile={papers}/mine.key" if request.param else ""
    yield SimpleNamespace(port=made.port, own=own)
    made.close()


async def taken(face, url):
    """Whether a lock can be had there."""
    locks = FACES[face](url, sync.RedisTuning(patience_s=0.0))
    try:
        lease = locks.lock("a").try_acquire()
        lease = await lease if inspect.isawaitable(lease) else lease
        ended = lease.release()
        if inspect.isawaitable(ended):
            await ended
        return True
    finally:
        ended = locks.close()
        if inspect.isawaitable(ended):
            await ended


ACCEPTED = {
    "authority": ("127.0.0.1", "ssl_ca_certs={papers}/mine.pem"),
    "no check": ("127.0.0.1", "ssl_cert_reqs=none"),
    "optional": ("127.0.0.1", "ssl_cert_reqs=optional&ssl_ca_certs={papers}/mine.pem"),
    "another name, not checked": ("localhost", "ssl_ca_certs={papers}/mine.pem&ssl_check_hostname=false"),
}
REFUSED = {
    "no authority": ("127.0.0.1", ""),
    "another authority": ("127.0.0.1", "ssl_ca_certs={papers}/other.pem"),
    "another name": ("localhost", "ssl_ca_certs={papers}/mine.pem"),
}


@pytest.mark.parametrize("what", [*ACCEPTED, *REFUSED])
@pytest.mark.parametrize("face", FACES)
async def test_what_the_parameters_ask_for(terminal, papers, face, what):
    """Each parameter has its effect; a certificate that is not accepted is said at once, and is no outage."""
    host, query = {**ACCEPTED, **REFUSED}[what]
    url = f"rediss://{host}:{terminal.port}/0?{query.format(papers=papers)}{terminal.own}".replace("?&", "?")
    if what in ACCEPTED:
        assert await taken(face, url)
        return
    for _ in range(3):  # a machine that stands still for a moment gives no answer in time, whatever the certificate
        with pytest.raises(sync.LockError) as told:
            await taken(face, url)
        if "no answer in time" not in str(told.value):
            break
    assert "certificate is refused" in str(told.value)
    assert not isinstance(told.value, sync.LockUnavailable)


@pytest.mark.parametrize("face", FACES)
async def test_who_shows_no_certificate(redis_url, papers, face):
    """The control of clients' certificates: without one the server hangs up."""
    terminal = Terminal(urlsplit(redis_url).port, papers, True)
    with pytest.raises(sync.LockUnavailable):
        await taken(face, f"rediss://127.0.0.1:{terminal.port}/0?ssl_ca_certs={papers}/mine.pem")
    terminal.close()
