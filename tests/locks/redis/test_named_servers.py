"""An outage names its server: host and port in every LockUnavailable, and never the password."""

import socket

import pytest
import redis
import redis.asyncio

from stockade import locks as sync
from stockade.devservers.process import free_port
from stockade.locks import LockUnavailable, RedisTuning, aio
from tests.locks.redis.test_connections_heal import done

PASSWORD = "nobody-may-read-this"
TUNING = RedisTuning(call_s=0.2, patience_s=0.2)
FACES = {"sync": sync, "aio": aio}
CALLS = {
    "acquire": lambda locks: locks.lock("a").acquire(timeout=0.2),
    "acquire without limit": lambda locks: locks.lock("a").acquire(),
    "try": lambda locks: locks.lock("a").try_acquire(),
    "inspect": lambda locks: locks.inspect("a"),
    "break": lambda locks: locks.break_("a"),
}


def client_of(face, url):
    """A client of redis-py."""
    return (redis.asyncio.Redis if face is aio else redis.Redis).from_url(url)


def sentinel_of(face, port):
    """A client that asks one Sentinel."""
    kind = redis.asyncio.sentinel.Sentinel if face is aio else redis.sentinel.Sentinel
    return kind([("127.0.0.1", port)], sentinel_kwargs={"password": PASSWORD}).master_for("shop")


MAKERS = {
    "redis": lambda face, port: face.RedisLocks(f"redis://:{PASSWORD}@127.0.0.1:{port}", TUNING),
    "client": lambda face, port: face.RedisLocks(client_of(face, f"redis://:{PASSWORD}@127.0.0.1:{port}"), TUNING),
    "sentinel": lambda face, port: face.RedisLocks(sentinel_of(face, port), TUNING),
    "cluster": lambda face, port: face.RedisLocks(f"redis://:{PASSWORD}@127.0.0.1:{port}", TUNING, cluster=True),
    "quorum": lambda face, port: face.QuorumLocks(
        [f"redis://:{PASSWORD}@127.0.0.1:{port}/{n}" for n in range(3)], TUNING
    ),
    "postgres": lambda face, port: face.PostgresLocks(f"postgresql://a:{PASSWORD}@127.0.0.1:{port}/a", patience_s=0.2),
    "mysql": lambda face, port: face.MySQLLocks(f"mariadb://a:{PASSWORD}@127.0.0.1:{port}/a", patience_s=0.2),
}


@pytest.fixture(params=["nobody", "silent"])
def port(request):
    """A port without a listener, and one that accepts connections and sends nothing."""
    if request.param == "nobody":
        yield free_port()
        return
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("kind", MAKERS)
async def test_an_outage_names_its_server(port, kind, face):
    """Each call of each provider, on both faces: the message has host and port, and no password."""
    locks = MAKERS[kind](FACES[face], port)
    for name, call in CALLS.items():
        with pytest.raises(LockUnavailable) as caught:
            await done(call(locks))
        assert f"127.0.0.1:{port}" in str(caught.value), name
        assert PASSWORD not in str(caught.value), name
    await done(locks.close())
