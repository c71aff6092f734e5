"""Where keys may be read from, and that a reading ends, whatever the server does."""

import socket
import threading
import time

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

    def start(serve):
        def run():
            connection, _ = listening.accept()
            with connection:
                connection.recv(10_000)
                serve(connection, ended)

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}/"

    yield start
    ended.set()
    listening.close()


def drip(connection, ended):
    """Send one byte of the body again and again."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not ended.wait(0.02):
        try:
            connection.sendall(b"x")
        except OSError:
            return


def drip_headers(connection, ended):
    """Send one header again and again."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not ended.wait(0.02):
        try:
            connection.sendall(b"a")
        except OSError:
            return


def say_nothing(_connection, ended):
    """Answer never."""
    ended.wait(30)


@pytest.mark.parametrize("serve", [drip, drip_headers, say_nothing])
def test_a_reading_ends(server, serve):
    """A server that is silent, or sends byte after byte, is left after `wait_s`."""
    begun_s = time.monotonic()
    with pytest.raises(OSError, match=r"."):
        read(server(serve), max_bytes=200_000, wait_s=0.3)
    assert time.monotonic() - begun_s < 5


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
