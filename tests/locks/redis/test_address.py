"""Redis URLs as users write them: which server, path, database, user, password and TLS they name."""

import asyncio
import ssl
import tempfile
from pathlib import Path

import pytest
import redis
from typer.testing import CliRunner

from stockade import locks as sync
from stockade.cli import app
from stockade.locks import aio
from stockade.locks.redis.transport.address import Address

URLS = {
    "redis://": ("127.0.0.1", 6379, "", 0, "", ""),
    "redis://cache.example:7000/3": ("cache.example", 7000, "", 3, "", ""),
    "redis://:p%40ss@cache.example": ("cache.example", 6379, "", 0, "", "p@ss"),
    "redis://ann:s%3Acret@[::1]:6380/0": ("::1", 6380, "", 0, "ann", "s:cret"),
    "redis://cache.example?db=5": ("cache.example", 6379, "", 5, "", ""),
    "rediss://ann:secret@cache.example:6390/2": ("cache.example", 6390, "", 2, "ann", "secret"),
    "redis://cache.example/0?username=ann&password=p%40ss&db=6": ("cache.example", 6379, "", 6, "ann", "p@ss"),
    "rediss://cache.example?ssl_cert_reqs=none": ("cache.example", 6379, "", 0, "", ""),
    "unix:///run/redis.sock?username=ann&password=x&db=1": ("127.0.0.1", 6379, "/run/redis.sock", 1, "ann", "x"),
    "unix:///run/redis%20one.sock?db=4": ("127.0.0.1", 6379, "/run/redis one.sock", 4, "", ""),
    "unix://:secret@/run/redis.sock": ("127.0.0.1", 6379, "/run/redis.sock", 0, "", "secret"),
}


@pytest.mark.parametrize("url", URLS)
def test_parts_of_a_url(url):
    """Every part is found, percent signs are decoded, and only `rediss` means TLS."""
    found = Address.parse(url)
    assert (found.host, found.port, found.path, found.db, found.username, found.password) == URLS[url]
    assert (found.tls is not None) == url.startswith("rediss:")


def test_tls_is_verified():
    """`rediss://` checks the certificate and the host's name."""
    tls = Address.parse("rediss://cache.example").tls
    assert (tls.verify_mode, tls.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_greeting_logs_in_before_it_chooses():
    """AUTH comes first, with or without a user, then the database, then our name."""
    assert Address.parse("redis://ann:secret@x/3").greeting("me") == [
        ("AUTH", "ann", "secret"),
        ("SELECT", 3),
        ("CLIENT", "SETNAME", "me"),
    ]
    assert Address.parse("redis://:secret@x").greeting("me")[0] == ("AUTH", "secret")
    assert Address.parse("redis://x").greeting("me") == [("CLIENT", "SETNAME", "me")]


SECRET = "pass-word-77"
UNUSABLE = {
    "http://x": "expected redis://",
    "localhost:6379": "expected redis://",
    f"http://:{SECRET}@x/0": "expected redis://",
    f"u:{SECRET}@x": "expected redis://",
    "redis://x:port": "port",
    "redis://x:99999": "port",
    "redis://x/one": "number",
    f"redis://:{SECRET}@x/one": "number",
    f"redis://:{SECRET}@x/0\n": "line break",
    f"redis://:{SECRET} @x/0": "space",
    f"redis://:a/{SECRET}@x/0": "percent-encoded|%2F|port",
    f"redis://:a#{SECRET}@x/0": "%23|port",
    f"redis://:a?{SECRET}=1@x/0": "port|unknown parameter",
    "redis://x?ssl=true": "'ssl'",
    "redis://x?socket_timeout=5": "'socket_timeout'",
    f"redis://:{SECRET}@x?max_connections=5": "'max_connections'",
    f"redis://x?password={SECRET}&foo=1": "'foo'",
    "redis://x?db=1&db=2": "'db'",
    "redis://x?ssl_ca_certs=/ca.pem": "'ssl_ca_certs' needs rediss://",
    "rediss://x?ssl_ca_certs=/no/such/ca.pem": "ssl_ca_certs",
    "rediss://x?ssl_certfile=/no/such/cert.pem": "ssl_certfile",
    "rediss://x?ssl_keyfile=/no/such/key.pem": "ssl_keyfile",
    "rediss://x?ssl_cert_reqs=maybe": "ssl_cert_reqs",
    "rediss://x?ssl_check_hostname=perhaps": "ssl_check_hostname",
    "rediss://x?ssl_ca_path=/etc": "'ssl_ca_path'",
    "unix://": "path",
    "redis://[::1": "host",
}
MADE = {
    "threads": sync.RedisLocks,
    "asyncio": aio.RedisLocks,
    "cluster": lambda url: sync.RedisLocks(url, cluster=True),
    "quorum": lambda url: sync.QuorumLocks([url, "redis://b", "redis://c"]),
}


@pytest.mark.parametrize("url", UNUSABLE)
def test_what_is_no_redis_url(url):
    """What cannot be used is refused in one line that says why, before anything is connected, without the password."""
    for make in (Address.parse, *MADE.values()):
        with pytest.raises(ValueError, match=UNUSABLE[url]) as told:
            _ = make(url)
        assert SECRET not in str(told.value)
        assert len(str(told.value).splitlines()) == 1
    shown = CliRunner().invoke(app, ["locks", "--redis", url])
    assert (shown.exit_code, len(shown.stderr.splitlines())) == (2, 1)
    assert SECRET not in shown.output


def test_an_address_hides_its_password():
    """Neither `repr` nor what stands in messages has it."""
    found = Address.parse(f"redis://ann:{SECRET}@x/0")
    assert SECRET not in repr(found) + found.where


@pytest.mark.redis
@pytest.mark.parametrize("face", ["aio", "sync"])
async def test_locks_over_a_unix_socket(redis_server, face):
    """A lock taken over `unix://` is the lock that TCP clients see, in the database of the URL."""
    with tempfile.TemporaryDirectory() as folder:  # a short path: sockets allow no long ones
        Path(folder).chmod(0o777)  # the server runs as another user
        server = await asyncio.to_thread(redis_server, unixsocket=f"{folder}/r.sock")
        locks = (aio if face == "aio" else sync).RedisLocks(f"unix://{folder}/r.sock?db=2")
        lease = locks.lock("a").acquire()
        lease = await lease if face == "aio" else lease
        with redis.Redis.from_url(server.url[:-1] + "2", decode_responses=True) as other:
            assert other.get("stockade:a") == lease.token
        ended = locks.close()
        if face == "aio":
            await ended
