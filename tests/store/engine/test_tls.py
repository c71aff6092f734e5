"""TLS to real servers, with certificates made here: a connection is encrypted when the URL says so, and a server that
is another one than the URL asks for is refused."""

import os
import subprocess

import asyncpg
import pytest
from sqlalchemy import text

from stockade.core import Busy
from stockade.drivers.failures import AccessRefused
from stockade.store import Database
from tests.cli.service import stockade
from tests.devservers.pool import memory_folder
from tests.store.conftest import soon

pytestmark = [pytest.mark.postgres, pytest.mark.mariadb]
REFUSED = "refused"


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with an authority, a server's and a client's certificate by it, and an authority of somebody else."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("authority", "stranger"):
        to = ("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", *to)
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1")
    for name, more in (("server", ("-extfile", folder / "san")), ("client", ())):
        request = folder / f"{name}.csr"
        to = ("-keyout", folder / f"{name}.key", "-out", request)
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", *to)
        by = ("-CA", folder / "authority.pem", "-CAkey", folder / "authority.key", "-CAcreateserial", "-days", "2")
        openssl("x509", "-req", "-in", request, *by, "-out", folder / f"{name}.pem", *more)
    return folder


@pytest.fixture(scope="module")
def tls_servers(certificates):
    """A PostgreSQL and a MariaDB with TLS, and one of each without."""
    from stockade.devservers import Servers

    with Servers(memory_folder()) as group:
        private = group.folder / "tls"
        group._workdir.make_folder(private)
        for name in ("server.key", "server.pem", "authority.pem"):
            (private / name).write_bytes((certificates / name).read_bytes())
            (private / name).chmod(0o600)
            if group._workdir.user:
                os.chown(private / name, group._workdir.user.uid, group._workdir.user.gid)
        files = [private / name for name in ("server.pem", "server.key", "authority.pem")]
        postgres = dict(zip(("ssl_cert_file", "ssl_key_file", "ssl_ca_file"), files, strict=True))
        mariadb = dict(zip(("ssl_cert", "ssl_key", "ssl_ca"), files, strict=True))
        yield {
            "postgres": group.postgres(ssl="on", **postgres),
            "plain postgres": group.postgres(),
            "mariadb": group.mariadb(**mariadb),
            "plain mariadb": group.mariadb(),
        }


TABLE = [
    ("postgres", "", True),  # prefer, as libpq
    ("postgres", "?sslmode=disable", False),
    ("postgres", "?sslmode=allow", False),
    ("postgres", "?sslmode=prefer", True),
    ("postgres", "?sslmode=require", True),
    ("postgres", "?sslmode=verify-ca&sslrootcert={folder}/authority.pem", True),
    ("postgres", "?sslmode=verify-full&sslrootcert={folder}/authority.pem", True),
    ("postgres", "?sslrootcert={folder}/authority.pem", True),
    ("postgres", "?sslmode=verify-ca&sslrootcert={folder}/stranger.pem", REFUSED),
    ("postgres", "?sslmode=require&sslrootcert={folder}/stranger.pem", REFUSED),
    ("postgres", "@localhost?sslmode=verify-full&sslrootcert={folder}/authority.pem", REFUSED),
    ("postgres", "@localhost?sslmode=verify-ca&sslrootcert={folder}/authority.pem", True),
    ("plain postgres", "", False),
    ("plain postgres", "?sslmode=prefer", False),
    ("plain postgres", "?sslmode=require", REFUSED),
    ("mariadb", "", False),
    ("mariadb", "?ssl_mode=DISABLED", False),
    ("mariadb", "?ssl_mode=PREFERRED", True),
    ("mariadb", "?ssl_mode=REQUIRED", True),
    ("mariadb", "?ssl_ca={folder}/authority.pem", True),
    ("mariadb", "?ssl_mode=VERIFY_CA&ssl_ca={folder}/authority.pem", True),
    ("mariadb", "?ssl_mode=VERIFY_IDENTITY&ssl_ca={folder}/authority.pem", True),
    ("mariadb", "?ssl_ca={folder}/stranger.pem", REFUSED),
    ("mariadb", "?ssl_mode=VERIFY_IDENTITY", REFUSED),  # no authority of this machine's knows it
    ("mariadb", "@localhost?ssl_mode=VERIFY_IDENTITY&ssl_ca={folder}/authority.pem", REFUSED),
    ("mariadb", "@localhost?ssl_ca={folder}/authority.pem", True),
    ("plain mariadb", "?ssl_mode=PREFERRED", False),
    ("plain mariadb", "?ssl_mode=REQUIRED", REFUSED),
    ("plain mariadb", "?ssl_ca={folder}/authority.pem", REFUSED),
]


def url_of(server, asked, folder):
    url, (place, _, query) = server.url, asked.partition("?")
    if place:
        url = url.replace("@127.0.0.1", place)
    return f"{url}?{query.format(folder=folder)}" if query else url


def encrypted(connection):
    if connection.dialect.name == "postgresql":
        return connection.execute(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")).scalar_one()
    return connection.execute(text("SHOW SESSION STATUS LIKE 'Ssl_cipher'")).one()[1] != ""


async def outcome(url):
    """Whether both pools of a database are encrypted, or that the server was refused."""
    try:
        database = await Database.open(url)
    except (AccessRefused, Busy) as error:
        return REFUSED if "\n" not in str(error) else error
    try:
        read = await database.read(encrypted)
        assert await database.transaction(encrypted, deadline=soon()) == read
        return read
    finally:
        await database.close()


async def test_encryption(tls_servers, certificates):
    """For each way to ask for TLS: what the server says of the connection, or that it is refused."""
    seen = [(kind, asked, await outcome(url_of(tls_servers[kind], asked, certificates))) for kind, asked, _ in TABLE]
    assert seen == TABLE


STRANGER = "its certificate is not from an authority in {folder}/stranger.pem"
OTHER_HOST = "its certificate does not name this host"
WHY = [
    ("postgres", "?sslrootcert={folder}/stranger.pem", STRANGER),
    ("postgres", "@localhost?sslrootcert={folder}/authority.pem", OTHER_HOST),
    ("plain postgres", "?sslmode=require", "sslmode=require, and the server offers no TLS"),
    ("mariadb", "?ssl_ca={folder}/stranger.pem", STRANGER),
    ("mariadb", "?ssl_mode=VERIFY_IDENTITY", "its certificate is not from an authority that is trusted here"),
    ("mariadb", "@localhost?ssl_mode=VERIFY_IDENTITY&ssl_ca={folder}/authority.pem", OTHER_HOST),
    ("plain mariadb", "?ssl_mode=REQUIRED", "ssl_mode=REQUIRED, and the server offers no TLS"),
]


@pytest.mark.parametrize(("kind", "asked", "why"), WHY)
async def test_why_a_server_is_refused(tls_servers, certificates, kind, asked, why):
    """The line says what this client does not accept, without the words of OpenSSL and without blaming the server."""
    with pytest.raises((AccessRefused, Busy)) as caught:
        await Database.open(url_of(tls_servers[kind], asked, certificates))
    said = str(caught.value)
    assert why.format(folder=certificates) in said
    assert "_ssl.c" not in said
    assert "refuses" not in said


async def test_certificates_of_clients(tls_servers, certificates):
    """A user who has to show a certificate comes in with it, and not without it."""
    postgres, mariadb = tls_servers["postgres"], tls_servers["mariadb"]
    rules = next(postgres.folder.rglob("pg_hba.conf"))
    rules.write_text(f"hostssl all shown 127.0.0.1/32 trust clientcert=verify-ca\n{rules.read_text()}")
    admin = await asyncpg.connect(postgres.url)
    await admin.execute("CREATE ROLE shown LOGIN")
    await admin.execute("SELECT pg_reload_conf()")
    await admin.close()
    database = await Database.open(mariadb.url)
    for statement in ("CREATE USER shown@'%' REQUIRE X509", "GRANT ALL ON stockade.* TO shown@'%'"):
        await database.transaction(lambda c, sql=statement: c.execute(text(sql)), deadline=soon())
    await database.close()
    for server, mode, names in (
        (postgres, "sslmode=require", ("sslcert", "sslkey")),
        (mariadb, "ssl_mode=REQUIRED", ("ssl_cert", "ssl_key")),
    ):
        url = f"{server.url.replace('stockade@', 'shown@')}?{mode}"
        shown = f"&{names[0]}={certificates}/client.pem&{names[1]}={certificates}/client.key"
        assert await outcome(url) == REFUSED, url
        assert await outcome(url + shown) is True, url


def test_the_command_line(tls_servers, certificates, tmp_path):
    """`migrate` works over a verified connection; another authority is one line and exit code 2."""
    for kind, query in (
        ("postgres", "sslmode=verify-full&sslrootcert"),
        ("mariadb", "ssl_mode=VERIFY_IDENTITY&ssl_ca"),
    ):
        url = f"{tls_servers[kind].url}?{query}={certificates}"
        right = stockade(tmp_path, "migrate", "--database", f"{url}/authority.pem")
        assert right.returncode == 0, right.stderr
        wrong = stockade(tmp_path, "migrate", "--database", f"{url}/stranger.pem")
        assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1), wrong.stderr
        assert "certificate" in wrong.stderr
