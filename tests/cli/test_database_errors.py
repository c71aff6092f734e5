"""An operator's mistake with the database is one line and exit code 2, without a traceback or a password."""

import signal
import socket
import time

import pytest
from typer.testing import CliRunner

from stockade.cli import app
from stockade.shop.http.routing.service_routes import READY_KEPT_S
from tests.cli.service import Service, prepared, stockade
from tests.waiting import eventually_async

SECRET = "s3cret"


@pytest.fixture
def mute():
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


TABLE = {
    "no such database, PostgreSQL": ("{postgres}/nope", "does not exist"),
    "no such database, MariaDB": ("{mariadb}/nope", "Unknown database"),
    "no such user, PostgreSQL": ("postgresql://nobody:s3cret@{postgres_place}/postgres", "does not exist"),
    "wrong password, MariaDB": ("mariadb://nobody:s3cret@{mariadb_place}/stockade", "Access denied"),
    "no database named": ("mariadb://u:s3cret@{mariadb_place}", "names no database"),
    "another protocol": ("mariadb://u:s3cret@{postgres_place}/x?connect_timeout=1", "no connection"),
    "the other way round": ("postgresql://u:s3cret@{mariadb_place}/x", "no connection"),
    "nobody there": ("postgresql://u:s3cret@127.0.0.1:1/x", "no connection"),
    "silence": ("postgresql://u:s3cret@127.0.0.1:{mute}/x?connect_timeout=1", "within 1 s"),
    "silence, MariaDB": ("mysql://u:s3cret@127.0.0.1:{mute}/x?connect_timeout=1", "within 1 s"),
    "an unknown parameter": ("postgresql://u:s3cret@h/x?ssl=on", "sslmode"),
    "a parameter of a file": ("sqlite:///x?mode=ro", "mode"),
    "no folder": ("sqlite:////nowhere/x.db", "no such folder: /nowhere"),
}


@pytest.mark.postgres
@pytest.mark.mariadb
def test_migrate(server_url, mute):
    """`migrate` says what is wrong with each of these databases."""
    names = {"mute": mute}
    for kind in ("postgres", "mariadb"):
        names[kind] = server_url(kind).rpartition("/")[0]
        names[f"{kind}_place"] = names[kind].rpartition("@")[2]
    for case, (url, said) in TABLE.items():
        done = CliRunner().invoke(app, ["migrate", "--database", url.format(**names)])
        assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), (case, done.stderr)
        assert said in done.stderr, (case, done.stderr)
        assert SECRET not in done.stderr, case


@pytest.mark.parametrize(
    "words",
    [("serve", "--port", "0"), ("audit",), ("dead-letters", "list")],
    ids=" ".join,
)
async def test_a_database_without_the_schema(words, postgres_database, tmp_path):
    """Every command says that the schema is missing, and how to make it."""
    done = stockade(tmp_path, *words, "--database", postgres_database)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "run: stockade migrate" in done.stderr


KINDS = [pytest.param(each, marks=getattr(pytest.mark, each)) for each in ("postgres", "mariadb")]


@pytest.mark.parametrize("kind", KINDS)
async def test_serve_beside_a_silent_database(kind, servers, tmp_path):
    """The database hangs: readiness says so within `wait_s`, and `serve` stops in order, within its bounds."""
    server = getattr(servers, kind)()
    await prepared(server.url, users=1, products=1, stock=1, points=1)
    with Service(tmp_path, database=server.url, stop_wait_s=5, wait_s=1) as service:
        async with service.client() as client:
            assert (await client.get("/readyz")).status_code == 200
            server.pause()
            try:

                async def not_ready():  # the answer of before is kept for a moment
                    return (await client.get("/readyz")).status_code == 503

                began = time.monotonic()
                await eventually_async(not_ready)
                assert time.monotonic() - began < READY_KEPT_S + 1 + 2
                began = time.monotonic()
                assert service.stop(signal.SIGTERM) == 0
                assert time.monotonic() - began < 5 + 3
            finally:
                server.resume()
