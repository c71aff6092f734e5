"""Private PostgreSQL, MariaDB, Redis and Apache Kafka for tests, benchmarks and the lab: no docker, no system service.

    with Servers() as servers:
        database = servers.postgres(max_connections=400)
        master = servers.redis()
        replica = servers.redis(replica_of=master)
        database.url, master.port
        database.kill(); database.restart()

Each has its own data directory, in one temporary folder, and its own port on 127.0.0.1. If this process is root, they
run as `nobody`. They end with this process, even if it is killed. Only `fresh_database` needs more than the standard
library.
"""

import atexit
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import TypeVar

from stockade.devservers import gateway, kafka, mariadb, pgbouncer, postgres, redis
from stockade.devservers.databases import drop_database, fresh_database
from stockade.devservers.errors import PortTaken, ServerFailed, ServerUnavailable
from stockade.devservers.existing import existing_url
from stockade.devservers.kafka import KafkaCluster
from stockade.devservers.launch import raise_open_files, server_open_files
from stockade.devservers.process import Server, ServerSpec, free_port
from stockade.devservers.workdir import WorkDir

__all__ = [
    "KINDS",
    "KafkaCluster",
    "Server",
    "ServerFailed",
    "ServerUnavailable",
    "Servers",
    "available",
    "drop_database",
    "existing_url",
    "fresh_database",
    "raise_open_files",
]

KINDS = ("postgres", "mariadb", "redis", "kafka")
_START_TRIES = 3
_Started = TypeVar("_Started", Server, KafkaCluster)
_FILES_PER_CONNECTION = 2
_FILES_OF_ITS_OWN = 500


def available() -> dict[str, str | None]:
    """For each kind of server None if one can be started or the environment names one, otherwise why not."""
    finders: dict[str, Callable[[], object]] = {
        "postgres": postgres.find,
        "mariadb": mariadb.find,
        "redis": redis.find,
        "kafka": kafka.find,
        "pgbouncer": pgbouncer.find,
    }
    return {kind: None if existing_url(kind) else _why_not(find) for kind, find in finders.items()}


class Servers:
    """A group of private servers with one temporary folder; leaving the context ends them and removes it.

    Args:
        folder: where to create the temporary folder; benchmarks with `durable=True` name one on a real disk.
    """

    def __init__(self, folder: Path | None = None) -> None:
        raise_open_files()
        self._workdir = WorkDir(folder)
        self._running: list[Server] = []
        self._shared: dict[str, Server | KafkaCluster] = {}
        self._lock = RLock()
        self._pid = os.getpid()
        self._closed = False
        atexit.register(self.close)

    def __enter__(self) -> "Servers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """The temporary folder of the group."""
        return self._workdir.path

    def close(self) -> None:
        """End all servers at once and remove their data. Does nothing the second time, or in a forked child."""
        if self._closed or os.getpid() != self._pid:
            return
        self._closed = True
        atexit.unregister(self.close)
        for server in reversed(self._running):
            server.end()
        self._workdir.close()

    def url(self, kind: str) -> str:
        """The URL of a shared server: the one that the environment names, otherwise one private server of the group.

        Args:
            kind: `postgres`, `mariadb`, `mysql` (existing only), `redis` or `kafka`.

        Raises:
            ServerUnavailable: there is none; the message says what to install or to set.
        """
        if found := existing_url(kind):
            return found
        starters: dict[str, Callable[[], Server | KafkaCluster]] = {
            "postgres": self.postgres,
            "mariadb": self.mariadb,
            "redis": self.redis,
            "kafka": self.kafka,
        }
        if kind not in starters:
            raise ServerUnavailable("no MySQL: set STOCKADE_TEST_MYSQL_URL to a server that is there")
        with self._lock:
            if kind not in self._shared:
                self._shared[kind] = starters[kind]()
            return self._shared[kind].url

    def postgres(self, durable: bool = False, max_connections: int = 200, **settings: object) -> Server:
        """Start a PostgreSQL.

        Args:
            durable: fsync is on, as in production. Without it, a killed server still loses nothing.
            max_connections: up to what the open-file limit allows.
            settings: further settings of postgresql.conf, e.g. `shared_buffers="256MB"`.

        Raises:
            ServerUnavailable: the program is not installed, or too few open files for `max_connections`.
            ServerFailed: it did not start; the message carries its log.
        """
        _check_open_files(max_connections)
        settings = {"max_connections": max_connections, **settings}
        folder = self._workdir.new_folder(postgres.KIND)
        program = postgres.create(self._workdir, postgres.find(), folder)
        return self._start(folder, lambda port: postgres.spec(program, folder, port, durable, settings))

    def mariadb(self, durable: bool = False, max_connections: int = 200, **settings: object) -> Server:
        """Start a MariaDB.

        Args:
            durable: the log is flushed to disk at each commit. Without it, a killed server still loses nothing.
            max_connections: up to what the open-file limit allows.
            settings: further options, e.g. `innodb_buffer_pool_size="256M"`.

        Raises:
            ServerUnavailable: the program is not installed, or too few open files for `max_connections`.
            ServerFailed: it did not start; the message carries its log.
        """
        _check_open_files(max_connections)
        settings = {"max_connections": max_connections, **settings}
        folder = self._workdir.new_folder(mariadb.KIND)
        program = mariadb.create(self._workdir, mariadb.find(), folder)
        return self._start(folder, lambda port: mariadb.spec(program, folder, port, durable, settings))

    def redis(self, replica_of: Server | None = None, durable: bool = False, **settings: object) -> Server:
        """Start a Redis (or Valkey). Several calls start independent masters, as a quorum lock needs.

        Args:
            replica_of: the master to follow; the replica is in sync when this returns.
            durable: append-only file, flushed at each write. Without it, a restarted server is empty.
            settings: further settings of redis.conf, e.g. `maxmemory="64mb"` (an underscore stands for a hyphen).

        Raises:
            ServerUnavailable: the program is not installed.
            ServerFailed: it did not start; the message carries its log.
        """
        folder = self._workdir.new_folder(redis.KIND)
        program = redis.create(self._workdir, redis.find(), folder)
        return self._start(
            folder,
            lambda port: redis.spec(program, folder, port, durable=durable, replica_of=replica_of, settings=settings),
        )

    def gateway(self, **options: object) -> Server:
        """Start a payment gateway to test against; `gateway.GatewayClient` asks it for its count.

        Args:
            options: how it behaves, see `gateway.behaviour.Behaviour`.

        Raises:
            ServerFailed: it did not start, e.g. because an option is not known; the message carries its log.
        """
        folder = self._workdir.new_folder(gateway.KIND)
        return self._start(folder, lambda port: gateway.spec(port, options), as_user=False)

    def pgbouncer(self, database: Server, **settings: object) -> Server:
        """Start a PgBouncer for a PostgreSQL, in transaction mode unless the settings say otherwise.

        Args:
            database: the PostgreSQL, started by this group.
            settings: of pgbouncer.ini, e.g. `pool_mode="session"`.

        Raises:
            ServerUnavailable: the program is not installed.
            ServerFailed: it did not start; the message carries its log.
        """
        folder, program = self._workdir.new_folder(pgbouncer.KIND), self._workdir.accessible(pgbouncer.find())
        return self._start(
            folder,
            lambda port: pgbouncer.spec(self._workdir, program, folder, port, target=database, settings=settings),
        )

    def kafka(
        self,
        brokers: int = 1,
        heap_mb: int = 384,
        *,
        long_lived: bool = False,
        secured: bool = False,
        **settings: object,
    ) -> KafkaCluster:
        """Start an Apache Kafka; its jars are fetched the first time. About 4 s, three brokers 8 s, 200 MB each.

        Args:
            brokers: 1, or 3 with replication 3 and min.insync.replicas 2.
            heap_mb: Java heap of each broker in MB.
            long_lived: use both of Java's compilers, as in production. The broker is slower in the first minute of
                load, and faster afterwards.
            secured: add listeners with TLS and SASL, see `KafkaCluster.secured`; one broker only.
            settings: further broker settings, e.g. `message_max_bytes=2_000_000` (an underscore stands for a dot).

        Raises:
            ServerUnavailable: Java 17 or Maven is missing, or the jars could not be fetched.
            ServerFailed: it did not start; the message carries its log.
        """

        def create() -> KafkaCluster:
            cluster = kafka.create(self._workdir, brokers, heap_mb, settings, long_lived=long_lived, secured=secured)
            self._running.extend(cluster.brokers)
            return cluster

        return _start_on_free_ports(create)

    def _start(self, folder: Path, spec: Callable[[int], ServerSpec], *, as_user: bool = True) -> Server:
        def create() -> Server:
            server = Server(spec(free_port()), folder, self._workdir.user if as_user else None)
            self._running.append(server)
            return server

        return _start_on_free_ports(create)


def _start_on_free_ports(create: Callable[[], _Started]) -> _Started:
    """Create and start it; if another process was faster to use one of its ports, again with other ports."""
    for _ in range(_START_TRIES - 1):
        with suppress(PortTaken):
            made = create()
            made.start()
            return made
    made = create()
    made.start()
    return made


def _why_not(find: Callable[[], object]) -> str | None:
    try:
        find()
    except ServerUnavailable as error:
        return str(error)
    return None


def _check_open_files(max_connections: int) -> None:
    limit, needed = server_open_files(), max_connections * _FILES_PER_CONNECTION + _FILES_OF_ITS_OWN
    if needed > limit:
        raise ServerUnavailable(
            f"{max_connections} connections need about {needed} open files, and the limit is {limit}: "
            "raise it with `ulimit -n`"
        )
