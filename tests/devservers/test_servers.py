"""Private servers: they start, can be hurt and recover, and never outlive whoever started them."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from stockade import devservers as module
from stockade.devservers import ServerFailed, Servers, ServerUnavailable, available, postgres, redis
from stockade.devservers.process import HOST, free_port
from stockade.devservers.workdir import sweep
from tests.devservers.clients import answers, connected
from tests.threads import Running
from tests.waiting import eventually

KINDS = [
    pytest.param("postgres", marks=pytest.mark.postgres),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
    pytest.param("redis", marks=pytest.mark.redis),
]
SOURCES = Path(module.__file__).parents[3]
STARTS = """
import sys
from stockade.devservers import Servers
group = Servers()
started = [group.postgres(), group.redis()]
started[0].pause()
print(group.folder, *(server.pid for server in started), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def group():
    """One group for the whole file; its servers are started by the first test that asks."""
    with Servers() as servers:
        yield servers


@pytest.fixture(scope="module")
def server(group):
    """Function: kind -> the group's durable server of that kind."""
    running = {}

    def get(kind):
        if kind not in running:
            running[kind] = getattr(group, kind)(durable=True)
        return running[kind]

    return get


@pytest.mark.parametrize("kind", KINDS)
async def test_killed_server_keeps_what_it_confirmed(server, kind):
    """A server killed with SIGKILL takes no connections, and comes back on its port with its data."""
    target = server(kind)
    async with connected(target) as client:
        await client.put()
        before = await client.count()
        was = (target.pid, target.url)
        target.kill()
    assert not target.running
    assert not await answers(target)
    target.restart()
    assert target.pid != was[0]
    assert target.url == was[1]
    async with connected(target) as client:
        assert await client.count() == before


@pytest.mark.parametrize("kind", KINDS)
async def test_paused_server_is_silent_on_open_connections_too(server, kind):
    """While paused nothing answers, on old connections or new ones; afterwards the same connection goes on."""
    target = server(kind)
    async with connected(target) as client:
        target.pause()
        query = asyncio.create_task(client.count())
        done, _ = await asyncio.wait({query}, timeout=0.2)
        assert not done
        assert target.running
        target.resume()
        assert await asyncio.wait_for(query, 5) >= 0


@pytest.mark.parametrize("kind", KINDS)
async def test_orderly_restart(server, kind):
    """A restart keeps port and data, also of a server that is paused."""
    target = server(kind)
    async with connected(target) as client:
        before = await client.count()
    target.pause()
    target.restart()
    assert await answers(target)
    async with connected(target) as client:
        assert await client.count() == before
    assert "ready" in target.log().lower()


@pytest.mark.redis
def test_replica_is_in_sync(servers):
    """A replica has what its master had, follows it, and loses the link when it is cut."""
    master = servers.redis()
    with Redis(port=master.port) as client:
        client.set("old", 1)
        replica = servers.redis(replica_of=master)
        client.set("new", 2)
        assert client.wait(1, 5_000) == 1
        with Redis(port=replica.port) as follower:
            assert follower.mget("old", "new") == [b"1", b"2"]
        replica.pause()
        client.set("newer", 3)
        assert client.wait(1, 100) == 0
        replica.resume()
        assert client.wait(1, 5_000) == 1


@pytest.mark.redis
def test_masters_know_nothing_of_each_other(servers):
    """Several masters are independent, as a quorum lock needs them."""
    masters = [servers.redis() for _ in range(3)]
    for number, master in enumerate(masters):
        with Redis(port=master.port) as client:
            client.set("who", number)
    for number, master in enumerate(masters):
        with Redis(port=master.port) as client:
            assert client.get("who") == str(number).encode()


@pytest.mark.redis
def test_not_durable_redis_forgets(servers):
    """Without `durable` a restarted Redis is empty: the way a lock server loses its locks."""
    target = servers.redis()
    with Redis(port=target.port) as client:
        client.set("lock", 1)
    target.kill()
    target.restart()
    with Redis(port=target.port) as client:
        assert client.get("lock") is None


@pytest.mark.kafka
def test_kafka_keeps_its_topics(servers):
    """A killed broker comes back on its port with its topics; what it is given of Java's archived classes, it uses."""
    from confluent_kafka.admin import AdminClient, NewTopic

    cluster = servers.kafka()
    admin = AdminClient({"bootstrap.servers": cluster.url})
    admin.create_topics([NewTopic("orders", 3)])["orders"].result(20)
    (broker,) = cluster.brokers
    for archive in re.findall(r"-XX:SharedArchiveFile=([^\0]+)", Path(f"/proc/{broker.pid}/cmdline").read_text()):
        assert archive in Path(f"/proc/{broker.pid}/maps").read_text(), "Java ignores the archive of classes"
    broker.kill()
    broker.restart()
    eventually(lambda: len(_partitions(admin, "orders")) == 3, limit_s=20)


@pytest.mark.kafka
def test_a_long_lived_kafka_has_both_compilers(servers):
    """For minutes the first is enough, and starts sooner; a broker that is measured is one that runs for days."""
    limits = []
    for long_lived in (False, True):
        (broker,) = servers.kafka(long_lived=long_lived).brokers
        limits.append(b"TieredStopAtLevel" in Path(f"/proc/{broker.pid}/cmdline").read_bytes())
    assert limits == [True, False]


def _partitions(admin, topic):
    """The topic's partitions, as the broker knows them now."""
    return admin.list_topics(topic, timeout=20).topics[topic].partitions


@pytest.mark.kafka
@pytest.mark.slow
def test_three_brokers(servers):
    """Three brokers replicate a topic three times, and serve on when one is killed."""
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    cluster = servers.kafka(brokers=3)
    admin = AdminClient({"bootstrap.servers": cluster.url})
    admin.create_topics([NewTopic("orders", 1, replication_factor=3)])["orders"].result(20)
    partitions = eventually(lambda: _partitions(admin, "orders"), limit_s=20)  # brokers learn of a topic a little later
    assert len(partitions[0].replicas) == 3
    cluster.brokers[0].kill()
    sent = []
    producer = Producer({"bootstrap.servers": cluster.url, "acks": "all", "enable.idempotence": True})
    producer.produce("orders", b"one", on_delivery=lambda error, message: sent.append(error))
    assert producer.flush(60) == 0
    assert sent == [None]


@pytest.mark.postgres
@pytest.mark.redis
def test_servers_end_with_their_parent():
    """A parent killed with SIGKILL takes its servers along, and the next group sweeps what is left, paused or not."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    parent = subprocess.Popen(
        [sys.executable, "-c", STARTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    with parent:
        folder, *pids = parent.stdout.readline().split()
        assert all(_alive(int(pid)) for pid in pids)
        parent.kill()
    eventually(lambda: not _alive(int(pids[1])))
    sweep(Path(folder).parent)
    eventually(lambda: not any(_alive(int(pid)) for pid in pids))
    assert not Path(folder).exists()


@pytest.mark.redis
def test_server_outlives_the_thread_that_query_for_it(servers):
    """The death signal follows the forking thread, so that thread must be one that stays."""
    with Redis(port=Running(servers.redis).result().port) as client:
        for _ in range(20):
            assert client.ping()


@pytest.mark.mariadb
async def test_mariadb_keeps_its_temporary_tables_to_itself(server):
    """A starting MariaDB removes all temporary tables of its folder: two that share /tmp destroy each other's."""
    target = server("mariadb")
    async with connected(target) as client:
        assert await client._number("SELECT @@tmpdir") == str(target.folder / "tmp")


@pytest.mark.redis
def test_groups_leave_each_other_alone():
    """A new group sweeps folders of the dead only; a closed group leaves no process and no folder."""
    with Servers() as first:
        target = first.redis()
        with Servers() as second:
            assert first.folder.exists()
        assert not second.folder.exists()
        assert target.running
    assert not target.running
    assert not first.folder.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run servers as somebody else")
@pytest.mark.parametrize("kind", KINDS)
def test_root_runs_servers_as_nobody(server, kind):
    """As root, a server runs without root's rights."""
    assert Path(f"/proc/{server(kind).pid}").stat().st_uid != 0


@pytest.mark.postgres
@pytest.mark.mariadb
@pytest.mark.redis
def test_ordinary_user_runs_servers_as_itself():
    """Root is not needed."""
    user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}

    def run(python, script):
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(SOURCES),
            "STOCKADE_POSTGRES_BIN": str(postgres.find().path),
            "STOCKADE_REDIS_BIN": str(redis.find().path),
        }
        return subprocess.run(
            [python, "-c", script], env=environment, capture_output=True, text=True, check=False, **user
        )

    try:
        python = sys.executable
        run(python, "pass").check_returncode()
    except (OSError, subprocess.CalledProcessError):  # a venv whose Python lies in root's workdir
        python = "/usr/bin/python3"
    done = run(
        python, "from stockade.devservers import Servers\nwith Servers() as s: s.postgres(); s.mariadb(); s.redis()"
    )
    assert done.returncode == 0, done.stderr


def test_existing_server_wins(monkeypatch, servers):
    """A URL in the environment is used as it is, and nothing is started for it."""
    monkeypatch.setenv("STOCKADE_TEST_POSTGRES_URL", "postgresql://me@elsewhere/test")
    monkeypatch.setenv("STOCKADE_POSTGRES_BIN", "/nowhere/postgres")
    assert servers.url("postgres") == "postgresql://me@elsewhere/test"
    assert available()["postgres"] is None


def test_missing_program_says_what_to_do(monkeypatch, servers):
    """What cannot be had is named, with the way to get it."""
    monkeypatch.setattr("stockade.devservers.mariadb.find_program", lambda *_: None)
    with pytest.raises(ServerUnavailable, match="apt-get install mariadb-server-core"):
        servers.mariadb()
    assert available()["mariadb"] == "no MariaDB: apt-get install mariadb-server-core"
    monkeypatch.delenv("STOCKADE_TEST_MYSQL_URL", raising=False)
    with pytest.raises(ServerUnavailable, match="STOCKADE_TEST_MYSQL_URL"):
        servers.url("mysql")
    monkeypatch.setenv("STOCKADE_REDIS_BIN", "/nowhere/redis-server")
    with pytest.raises(ServerUnavailable, match="STOCKADE_REDIS_BIN=/nowhere/redis-server"):
        servers.redis()


@pytest.mark.redis
def test_failed_start_shows_the_log(servers):
    """A server that does not come up says why."""
    with pytest.raises(ServerFailed, match="no-such-setting"):
        servers.redis(no_such_setting=1)


@pytest.mark.redis
def test_taken_port_is_left_to_its_owner(monkeypatch, servers):
    """When another process was quicker to take a port, the next one is tried."""
    with socket.create_server((HOST, free_port())) as other:
        taken = other.getsockname()[1]
        ports = iter([taken, free_port()])
        monkeypatch.setattr("stockade.devservers.free_port", lambda: next(ports))
        assert servers.redis().port != taken


@pytest.mark.skipif(not Path("/proc/sys/net/ipv4/ip_local_port_range").exists(), reason="Linux tells its port range")
def test_ports_are_not_those_of_outgoing_connections():
    """A client that retries while its server is down must not get the server's port and connect to itself."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(free_port() < low for _ in range(50))


@pytest.mark.postgres
async def test_many_connections(servers):
    """A benchmark may ask for 1,100 connections; what the open-file limit forbids is refused, not cut down silently."""
    target = servers.postgres(max_connections=1_100)
    async with connected(target) as client:
        assert await client._number("SELECT current_setting('max_connections')::int") == 1_100
    with pytest.raises(ServerUnavailable, match="ulimit -n"):
        servers.postgres(max_connections=10_000_000)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
