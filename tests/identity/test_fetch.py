"""Where keys may be read from, and that a reading ends, whatever the server does."""

import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from stockade.identity import BadKeys, JwksKeys
from stockade.identity.fetch import check_address, read


@pytest.mark.parametrize(
    "address",
    [
        "http://id.example/jwks.json",
        "http://10.0.0.1/jwks.json",
        "http://127.0.0.1.example.com/jwks.json",
        "http://localhost.example.com/",
        "http://127.0.0.1@id.example/",
        "ftp://127.0.0.1/jwks",
        "https:///jwks",
        "https://user:password@id.example/jwks",
        "https://id.example/jwks#fragment",
        "https://id.example:port/",
        "data://x",
        "file://host/path",
        "",
    ],
)
def test_addresses_that_are_refused(address):
    """Whoever can change the keys can sign tokens: only https, this machine and files are read."""
    with pytest.raises(BadKeys, match="address of the keys") as bad:
        JwksKeys(address)
    assert "password" not in str(bad.value).replace("no password", "")


@pytest.mark.parametrize(
    "address",
    [
        "https://id.example/jwks.json",
        "https://id.example:8443/a?b=c",
        "http://127.0.0.1:1/",
        "http://[::1]:1/",
        "http://localhost:1/",
        "file:///tmp/jwks.json",
        "jwks.json",
    ],
)
def test_addresses_that_are_read(address):
    """The control: these are accepted."""
    check_address(address)


@pytest.fixture
def server():
    """Function: what to do with each connection -> the URL of a server that does it."""
    listening = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def start(serve, scheme="http"):
        def run():
            connection, _ = listening.accept()
            with connection, suppress(OSError):  # the reader has gone
                connection.recv(10_000)
                serve(connection, ended)

        threading.Thread(target=run, daemon=True).start()
        return f"{scheme}://127.0.0.1:{listening.getsockname()[1]}/"

    yield start
    ended.set()
    listening.close()


def repeat(connection, ended, piece, times=200):
    """Send one piece again and again, each after 20 ms, at most so often."""
    for _ in range(times):
        if ended.wait(0.02):
            return
        try:
            connection.sendall(piece)
        except OSError:
            return


def drip(connection, ended):
    """Send one byte of the body again and again."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    repeat(connection, ended, b"x")


def drip_headers(connection, ended):
    """Send one header again and again."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    repeat(connection, ended, b"a")


def drip_handshake(connection, ended):
    """Send one byte of the first record of TLS again and again."""
    connection.sendall(b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb")
    repeat(connection, ended, b"\x03")


def say_nothing(_connection, ended):
    """Answer never."""
    ended.wait(30)


@contextmanager
def within(limit_s):
    """What is inside ends in time."""
    begun_s = time.monotonic()
    yield
    assert time.monotonic() - begun_s < limit_s


@pytest.mark.parametrize(
    ("serve", "scheme"),
    [
        (drip, "http"),
        (drip_headers, "http"),
        (say_nothing, "http"),
        (say_nothing, "https"),
        (drip_handshake, "https"),
    ],
)
@pytest.mark.parametrize("silent", [0, 5])
def test_a_reading_ends(server, addresses, serve, scheme, silent):
    """A server that is silent, or sends byte after byte, is left in time, also at the last of several addresses."""
    url = server(serve, scheme)
    addresses(silent, urlsplit(url).port)
    with within(0.3 + 1), pytest.raises(TimeoutError, match=r"did not answer within 0\.3 seconds"):
        read(url, max_bytes=200_000, wait_s=0.3)


@pytest.fixture
def addresses(monkeypatch):
    """Function: how many silent addresses every name has, and the port of the one after them."""
    with socket.socket() as full, ExitStack() as held:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(5):  # nobody accepts, so the queue is full and further connections get no answer
            filling = held.enter_context(socket.socket())
            filling.setblocking(False)
            filling.connect_ex(full.getsockname())

        def are(silent, port):
            places = [*[full.getsockname()] * silent, ("127.0.0.1", port)]
            found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", place) for place in places]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

        yield are


def test_the_next_address_is_read(server, addresses):
    """The control: silent addresses leave time for one that answers, and what refuses is named."""
    url = server(lambda connection, _ended: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    addresses(2, urlsplit(url).port)
    assert read(url, max_bytes=10, wait_s=1) == b"ok"
    addresses(0, 1)
    with pytest.raises(OSError, match="refused"):
        read(url, max_bytes=10, wait_s=5)


def slow_tunnel(connection, ended):
    """A proxy that opens the tunnel late, and behind it nobody answers."""
    connection.sendall(b"HTTP/1.1 200 OK\r\na: ")
    repeat(connection, ended, b"a", times=60)
    connection.sendall(b"\r\n\r\n")
    ended.wait(30)


@pytest.mark.parametrize(("serve", "wait_s"), [(drip_headers, 0.3), (slow_tunnel, 1.5)])
def test_a_reading_through_a_proxy_ends(server, monkeypatch, serve, wait_s):
    """The time of the tunnel and of the handshake behind it is one."""
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", server(serve))
    with within(wait_s + 1), pytest.raises(TimeoutError, match="did not answer within"):
        read("https://id.example/jwks.json", max_bytes=1_000, wait_s=wait_s)


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", b"\xff" * 100]
)
def test_what_is_no_answer(server, answer):
    """A server that speaks something else, or stops in the middle, is an error and no empty document."""
    with pytest.raises((OSError, BadKeys)):
        read(server(lambda connection, _ended: connection.sendall(answer)), max_bytes=1_000, wait_s=2)


def test_a_chunked_document(server):
    """The control of this page: a document in chunks is read whole."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    url = server(lambda connection, _ended: connection.sendall(answer))
    assert read(url, max_bytes=10, wait_s=5) == b"abcde"
