"""Redis URLs as users write them: which server, path, database, user, password and TLS they name."""

import asyncio
import ssl
import tempfile
from pathlib import Path

import pytest
import redis

from stockade import locks as sync
from stockade.locks import aio
from stockade.locks.wire.address import Address

URLS = {
    "redis://": ("127.0.0.1", 6379, "", 0, "", ""),
    "redis://cache.example:7000/3": ("cache.example", 7000, "", 3, "", ""),
    "redis://:p%40ss@cache.example": ("cache.example", 6379, "", 0, "", "p@ss"),
    "redis://ann:s%3Acret@[::1]:6380/0": ("::1", 6380, "", 0, "ann", "s:cret"),
    "redis://cache.example?db=5": ("cache.example", 6379, "", 5, "", ""),
    "rediss://ann:secret@cache.example:6390/2": ("cache.example", 6390, "", 2, "ann", "secret"),
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


@pytest.mark.parametrize("url", ["http://x", "localhost:6379", "redis://x:port", "redis://x/one"])
def test_what_is_no_redis_url(url):
    """A wrong scheme, port or database number is a ValueError, before anything is connected."""
    with pytest.raises(ValueError, match=r"."):
        _ = Address.parse(url)


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
            assert other.get("a") == lease.token
        ended = locks.close()
        if face == "aio":
            await ended
