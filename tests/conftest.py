"""Real servers for tests: each starts once a run, when a test needs it; what is missing is left out by name.

Fixtures: `postgres_url`, `mariadb_url`, `mysql_url` and `kafka_bootstrap` are servers that the whole run shares.
`redis_url` is one for each worker, empty at the start of each test. `database_url` runs a test on a fresh database of
every kind, `postgres_database` and `mariadb_database` on one kind. `servers` and `redis_server` start servers for one
test, to be killed and paused. `wheel` is the built package, `environment` makes fresh environments to install it in.
Markers follow from the fixtures. `--require NAME,…|all` fails if a server is left out.
"""

import functools
import gc
import os
import re
import sys
from contextlib import ExitStack, contextmanager

import pytest

from stockade.devservers import Servers, ServerUnavailable, available, existing_url, postgres
from tests.browser import chromium
from tests.databases import CREATED
from tests.devservers.pool import Pool, RemotePool, memory_folder
from tests.devservers.template import PostgresTemplate

ALL = ("postgres", "mariadb", "redis", "kafka", "pgbouncer", "chromium")  # what the suite can start itself
KINDS = (*ALL, "mysql")
NEEDS = {
    "postgres_url": "postgres",
    "postgres_database": "postgres",
    "mariadb_url": "mariadb",
    "mariadb_database": "mariadb",
    "mysql_url": "mysql",
    "redis_url": "redis",
    "redis_server": "redis",
    "kafka_bootstrap": "kafka",
    "chromium": "chromium",
}
# What takes longest begins first, so that no worker is left alone with it at the end. With xdist a file is one unit.
SLOW_FIRST = (
    "tests/lab/ring/test_short_ring",
    "tests/lab/mutants/",
    "tests/lab/simulation/",
    "tests/contract/test_strategies",
    "tests/shop/test_audit_work",
    "tests/shop/test_audit",
    "tests/lab/",
    "tests/browser/",
    "tests/cli/",
    "tests/process/",
    "tests/store/engine/",
    "tests/kafka/",
    "tests/http/test_openapi",
    "tests/packaging/",
    "tests/shop/test_store",
    "tests/test_tidy",
    "tests/locks/faults/",
    "tests/store/",
    "tests/devservers/",
    "tests/typing/",
    "tests/docs/",
)
WAITING = ("tests/locks/",)  # for leases
POOL = pytest.StashKey()
TEMPLATE = PostgresTemplate()
# Without bytecode each process that a test starts compiles all modules again, which takes over a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_addoption(parser):
    parser.getgroup("stockade").addoption(
        "--require", default="", metavar="NAME,…|all", help=f"fail when a server is left out: {', '.join(KINDS)}, all"
    )


def pytest_configure(config):
    postgres.create = TEMPLATE.create
    gc.set_threshold(50_000, 20, 50)  # as in `stockade serve`: the default takes a tenth of the time of the tests
    config.option.loadscopereorder = False  # xdist would begin with the files of many tests, however short they are
    worker = getattr(config, "workerinput", None)
    config.stash[POOL] = RemotePool(*worker["stockade_pool"]) if worker else Pool()
    missing = [] if worker else [f"{kind} ({why})" for kind in _required(config) if (why := _left_out(kind))]
    if missing:
        config.stash[POOL].close()
        raise pytest.UsageError(f"required, but left out: {'; '.join(missing)}")


def pytest_unconfigure(config):
    if POOL in config.stash:
        with ExitStack() as ends:  # each, even if another one fails; the servers last
            ends.callback(config.stash[POOL].close)
            ends.callback(TEMPLATE.close)
            ends.callback(CREATED.close)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["stockade_pool"] = node.config.stash[POOL].listen()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """Three workers for two processors, because a third of a worker's time it waits: for leases, servers, processes."""
    processors = len(os.sched_getaffinity(0))
    return processors + (processors + 1) // 2


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark by fixtures, before `-m` selects by marks; begin with what takes longest."""
    for item in items:
        for kind in {NEEDS[name] for name in getattr(item, "fixturenames", ()) if name in NEEDS}:
            item.add_marker(kind)
    items.sort(key=_slowness)
    items[:] = _spread(items)


def pytest_collection_finish():
    """What was collected stays until the end: collections of garbage look through it no more."""
    gc.collect()
    gc.freeze()


def _slowness(item):
    """Place of the test's folder in `SLOW_FIRST`."""
    places = (place for place, begin in enumerate(SLOW_FIRST) if item.nodeid.startswith(begin))
    return next(places, len(SLOW_FIRST))


def _spread(items):
    """Files that wait rather than compute stand evenly among the others, so that processors always have work."""
    files = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    groups = [[], []]
    for tests in files.values():
        groups[tests[0].nodeid.startswith(WAITING)].append(tests)
    places = [(place / len(group), tests) for group in groups for place, tests in enumerate(group)]
    return [item for _, tests in sorted(places, key=lambda each: each[0]) for item in tests]


def pytest_runtest_setup(item):
    for kind in KINDS:
        if item.get_closest_marker(kind) and (why := _left_out(kind)):
            _leave_out(item.config, kind, why)


def pytest_terminal_summary(terminalreporter):
    """The reasons of skipped tests reach the controller from every worker."""
    reasons = {str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])}
    for line in sorted({hit for reason in reasons for hit in re.findall(r"left out: \w+ \(.*\)(?=')", reason)}):
        terminalreporter.write_line(line, yellow=True)


def _required(config):
    names = [name for name in config.getoption("--require").split(",") if name]
    if unknown := set(names) - {*KINDS, "all"}:
        raise pytest.UsageError(f"--require {','.join(unknown)}: unknown; servers are {', '.join(KINDS)}, all")
    return sorted({*names} - {"all"} | ({*ALL} if "all" in names else set()))


@functools.cache
def _why_not():
    return {**available(), "chromium": chromium.why_not()}


def _left_out(kind):
    if existing_url(kind):
        return None
    return "set STOCKADE_TEST_MYSQL_URL" if kind == "mysql" else _why_not()[kind]


def _leave_out(config, kind, why):
    (pytest.fail if kind in _required(config) else pytest.skip)(f"left out: {kind} ({why})")


@pytest.fixture(scope="session")
def server_url(request):
    """Function: kind -> URL of the run's server; skips (or, when required, fails) the test if it cannot be had."""
    worker = getattr(request.config, "workerinput", {"workerid": "main"})["workerid"]

    def url(kind):
        try:
            return request.config.stash[POOL].url(kind, worker)
        except ServerUnavailable as error:
            return _leave_out(request.config, kind, str(error))

    return url


@pytest.fixture(scope="session")
def postgres_url(server_url):
    """A PostgreSQL that the whole run shares."""
    return server_url("postgres")


@pytest.fixture(scope="session")
def mariadb_url(server_url):
    """A MariaDB that the whole run shares."""
    return server_url("mariadb")


@pytest.fixture(scope="session")
def mysql_url(server_url):
    """The MySQL that STOCKADE_TEST_MYSQL_URL names."""
    return server_url("mysql")


@pytest.fixture(scope="session")
def kafka_bootstrap(server_url):
    """One Apache Kafka broker that the whole run shares: make topics of your own."""
    return server_url("kafka")


@pytest.fixture
def redis_url(server_url):
    """A Redis of this worker's own, empty at the start of each test."""
    from redis import Redis

    url = server_url("redis")
    with Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def servers():
    """Private servers of one test; mark the test with what it starts."""
    with Servers(memory_folder()) as group:
        yield group


@pytest.fixture
def redis_server(servers):
    """Function that starts a Redis for this test: `redis_server(replica_of=…, durable=…)`."""
    return servers.redis


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Path of the wheel of this checkout, built once for each worker."""
    from tests.wheel import build_wheel

    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def environment(tmp_path):
    """Function that makes a fresh virtual environment: `environment(python="3.12", pip=True)`."""
    from tests.wheel import Environment

    def make(name="environment", **options):
        return Environment(tmp_path / name).make(**options)

    return make


DATABASES = [
    "sqlite",
    pytest.param("postgres", marks=pytest.mark.postgres),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
    *([pytest.param("mysql", marks=pytest.mark.mysql)] if existing_url("mysql") else []),
]


@pytest.fixture(params=DATABASES)
def database_url(request, server_url, tmp_path):
    """A fresh, empty database of each kind in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'stockade.sqlite'}"
        return
    with fresh(server_url(request.param)) as url:
        yield url


@pytest.fixture
def postgres_database(postgres_url):
    """A fresh, empty PostgreSQL database."""
    with fresh(postgres_url) as url:
        yield url


@pytest.fixture
def mariadb_database(mariadb_url):
    """A fresh, empty MariaDB database."""
    with fresh(mariadb_url) as url:
        yield url


@contextmanager
def fresh(server):
    """A fresh, empty database on a server, removed at the end."""
    url = CREATED.create(server)
    try:
        yield url
    finally:
        CREATED.drop(server, url)
