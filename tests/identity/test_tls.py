"""Keys over https: whose certificate is trusted, and through which proxy they are read."""

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from contextlib import closing, suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stockade.identity.fetch import read
from stockade.identity.testing import LocalIssuer
from tests.threads import Running

BODY = b'{"keys": []}'


def certificate(folder):
    """A certificate for 127.0.0.1 that is its own authority; the files of it and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    own, secret = folder / "cert.pem", folder / "key.pem"
    own.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    return own, secret


@pytest.fixture
def served(tmp_path, monkeypatch):
    """The URL of a document over https, and the file of its authority."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    own, secret = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, secret)
    issuer = LocalIssuer()
    issuer.respond = lambda path: (200, BODY)
    issuer._server.handle_error = lambda *_: None  # a client that trusts nobody ends the handshake
    issuer._server.socket = context.wrap_socket(issuer._server.socket, server_side=True)
    with issuer:
        yield issuer.url.replace("http:", "https:") + "/jwks", own


def test_only_a_trusted_certificate_is_accepted(served, monkeypatch):
    """An unknown authority ends the reading; the file of SSL_CERT_FILE makes it known; the name must be right too."""
    url, authority = served
    with pytest.raises(OSError, match="certificate verify failed"):
        read(url, max_bytes=100, wait_s=5)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    assert read(url, max_bytes=100, wait_s=5) == BODY
    with pytest.raises(OSError, match=r"certificate verify failed"):
        read(url.replace("127.0.0.1", "localhost"), max_bytes=100, wait_s=5)


def test_a_document_over_tls_that_drips_ends(tmp_path, monkeypatch):
    """A server that sends byte after byte over TLS is left after `wait_s`."""
    own, secret = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, secret)
    ended, sent = threading.Event(), []

    def drip():
        raw, _ = listening.accept()
        with context.wrap_socket(raw, server_side=True) as connection, suppress(OSError):  # the reader has gone
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while len(sent) < 200 and not ended.wait(0.02):
                connection.sendall(b"x")
                sent.append(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = Running(drip)
        begun_s = time.monotonic()
        with pytest.raises(TimeoutError, match="did not answer within"):
            read(f"https://127.0.0.1:{listening.getsockname()[1]}/", max_bytes=200_000, wait_s=0.5)
        assert time.monotonic() - begun_s < 0.5 + 1
        ended.set()
        serving.result(10)
    assert sent


class Proxy:
    """A proxy for CONNECT; `asked` has the requests that it received."""

    def __init__(self):
        self.asked = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client):
        with client:
            request = b""
            while b"\r\n\r\n" not in request:
                if not (data := client.recv(1_000)):
                    return
                request += data
            self.asked.append(request.decode())
            host, _, port = request.split()[1].decode().partition(":")
            with socket.create_connection((host, int(port))) as there:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=_pump, args=(there, client), daemon=True)
                back.start()
                _pump(client, there)
                back.join(10)

    def close(self):
        self._listening.close()


def _pump(source, sink):
    try:
        while data := source.recv(10_000):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the other side has gone


@pytest.fixture
def proxy():
    """A proxy on this machine."""
    with closing(Proxy()) as made:
        yield made


def test_the_proxy_of_the_environment(served, proxy, monkeypatch):
    """HTTPS_PROXY is used, with its login, and the certificate behind it is checked; NO_PROXY leaves it out."""
    url, authority = served
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:pass%40word@{proxy.place}")
    with pytest.raises(OSError, match="certificate verify failed"):
        read(url, max_bytes=100, wait_s=5)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    assert read(url, max_bytes=100, wait_s=5) == BODY
    assert len(proxy.asked) == 2
    assert "Proxy-Authorization: Basic dXNlcjpwYXNzQHdvcmQ=" in proxy.asked[1]
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert read(url, max_bytes=100, wait_s=5) == BODY
    assert len(proxy.asked) == 2
