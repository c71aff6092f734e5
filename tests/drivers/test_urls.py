"""Database URLs: every parameter has its effect, or is refused in one line that names it and shows no password."""

import re
import ssl
import subprocess

import pytest

from stockade.drivers.mysql import MySQLAddress
from stockade.drivers.postgres import PostgresAddress

SECRET = "s3cret"


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pem")
    subject = ["-subj", "/CN=localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject], check=True, capture_output=True
    )
    (folder / "text.pem").write_text("no certificate")
    return folder


POSTGRES = {
    "": {},
    "sslmode=disable": {"dsn": "postgresql://?sslmode=disable"},
    "sslmode=allow": {"dsn": "postgresql://?sslmode=allow"},
    "sslmode=prefer": {"dsn": "postgresql://?sslmode=prefer"},
    "sslmode=require": {"dsn": "postgresql://?sslmode=require"},
    "connect_timeout=2": {"timeout": 2.0},
    "application_name=shop%20one": {"server_settings": {"application_name": "shop one"}},
    "options=-c%20search_path%3Dx": {"server_settings": {"options": "-c search_path=x"}},
    "host=/run/pg": {"host": ["/run/pg"], "port": [5432]},
    "host=a&host=b&port=1&port=2": {"host": ["a", "b"], "port": [1, 2]},
    "user=u2&password=p2&dbname=d2": {"user": "u2", "password": "p2", "database": "d2"},
    "target_session_attrs=primary": {"target_session_attrs": "primary"},
}


@pytest.mark.parametrize("query", POSTGRES)
@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_postgres_parameters_reach_the_driver(scheme, query, monkeypatch):
    """Each parameter of PostgreSQL becomes its option; what is not given stays what it was."""
    monkeypatch.delenv("PGPORT", raising=False)
    plain = PostgresAddress.parse(f"{scheme}://u:{SECRET}@h:77/d").options()
    options = PostgresAddress.parse(f"{scheme}://u:{SECRET}@h:77/d?{query}").options()
    assert options == {**plain, **POSTGRES[query]}
    assert (plain["host"], plain["port"], plain["password"]) == (["h"], [77], SECRET)


PLACES = {
    "h1:1,h2:2": [("h1", 1), ("h2", 2)],
    "h1,h2:2": [("h1", 5432), ("h2", 2)],
    "[::1]:7": [("::1", 7)],
    "%2Frun%2Fpg": [("/run/pg", 5432)],
    "": [],
}


@pytest.mark.parametrize("place", PLACES)
def test_places_of_postgres(place, monkeypatch):
    """Several hosts, IPv6 and the folder of a unix socket are read as libpq reads them."""
    monkeypatch.delenv("PGPORT", raising=False)
    assert list(PostgresAddress.parse(f"postgresql://u@{place}/d").hosts) == PLACES[place]


def test_certificates_of_postgres(pem):
    """Files of certificates reach asyncpg, and alone they mean that the server is verified."""
    query = f"sslrootcert={pem}/cert.pem&sslcert={pem}/cert.pem&sslkey={pem}/key.pem"
    given = dict(PostgresAddress.parse(f"postgresql://h/d?{query}").tls)
    assert given["sslmode"] == "verify-full"
    assert given["sslrootcert"] == f"{pem}/cert.pem"


MODES = {
    "": ("DISABLED", None),
    "ssl_mode=DISABLED": ("DISABLED", None),
    "ssl_mode=preferred": ("PREFERRED", ssl.CERT_NONE),
    "ssl_mode=REQUIRED": ("REQUIRED", ssl.CERT_NONE),
    "ssl_ca={pem}/cert.pem": ("VERIFY_CA", ssl.CERT_REQUIRED),
    "ssl_mode=REQUIRED&ssl_ca={pem}/cert.pem": ("VERIFY_CA", ssl.CERT_REQUIRED),
    "ssl_mode=VERIFY_IDENTITY&ssl_ca={pem}/cert.pem": ("VERIFY_IDENTITY", ssl.CERT_REQUIRED),
    "ssl_mode=VERIFY_IDENTITY": ("VERIFY_IDENTITY", ssl.CERT_REQUIRED),
    "ssl_cert={pem}/cert.pem&ssl_key={pem}/key.pem": ("REQUIRED", ssl.CERT_NONE),
}


@pytest.mark.parametrize("query", MODES)
def test_tls_of_mysql(query, pem):
    """Each mode of MySQL makes the context that it says; the name of the host is compared under VERIFY_IDENTITY."""
    address = MySQLAddress.parse(f"mariadb://u@h/d?{query.format(pem=pem)}")
    mode, verify = MODES[query]
    assert (address.ssl_mode, address.context and address.context.verify_mode) == (mode, verify)
    assert address.context is None or address.context.check_hostname is (mode == "VERIFY_IDENTITY")


def test_mysql_parameters_reach_the_driver():
    """Socket, time limit and a password outside Latin-1 become asyncmy's options."""
    url = "mysql+asyncmy://u:%ED%95%9C@h:77/d?unix_socket=/run/my&connect_timeout=2.5&charset=utf8mb4"
    options = MySQLAddress.parse(url).options()
    assert (options["unix_socket"], options["connect_timeout"], options["charset"]) == ("/run/my", 2.5, "utf8mb4")
    assert (options["host"], options["port"], options["password"]) == ("h", 77, "한".encode())


REFUSED = {
    "postgresql://u:s3cret@h/d?ssl=true": "sslmode=require",
    "postgresql://u:s3cret@h/d?sslmod=disable": "sslmod",
    "postgresql://u:s3cret@h/d?sslmode=on": "sslmode=on",
    "postgresql://u:s3cret@h/d?sslmode": "no value",
    "postgresql://u:s3cret@h/d?sslmode=disable&sslmode=require": "twice",
    "postgresql://u:s3cret@h/d?sslmode=verify-full": "sslrootcert",
    "postgresql://u:s3cret@h/d?sslrootcert=/nowhere": "sslrootcert=/nowhere",
    "postgresql://u:s3cret@h/d?sslrootcert={pem}/text.pem": "PEM",
    "postgresql://u:s3cret@h/d?sslrootcert={pem}/cert.pem&sslmode=prefer": "no effect",
    "postgresql://u:s3cret@h/d?sslkey={pem}/key.pem": "sslcert",
    "postgresql://u:s3cret@h/d?sslcert={pem}/cert.pem&sslmode=disable": "no effect",
    "postgresql://u:s3cret@h/d?connect_timeout=soon": "connect_timeout=soon",
    "postgresql://u:s3cret@h/d?connect_timeout=0": "connect_timeout=0",
    "postgresql://u:s3cret@h/d?connect_timeout=nan": "connect_timeout=nan",
    "postgresql://u:s3cret@h/d?prepared_statement_cache_size=0": "prepared_statement_cache_size",
    "postgresql://u:s3cret@h/d?target_session_attrs=master": "target_session_attrs",
    "postgresql://u:s3cret@h1,h2/d?port=1,2,3": "3 ports",
    "postgresql://u:s3cret@h:0/d": "port",
    "postgresql://u:s3cret@h:x/d": "port",
    "postgresql://u:s3cret@h/d\n": "line break",
    "postgresql://u:s3cret @h/d": "blank",
    "postgresql://u:s3cret#@h/d": "%23",
    "postgresql://u:a/s3cret@h/d": "%2F",
    "postgresql://u%00:s3cret@h/d": "%00",
    "mysql://u:s3cret@h/d?ssl=true": "ssl_mode=REQUIRED",
    "mysql://u:s3cret@h/d?ssl-mode=REQUIRED": "write ssl_mode",
    "mysql://u:s3cret@h/d?ssl_mode=ON": "ssl_mode=ON",
    "mysql://u:s3cret@h/d?ssl_mode=VERIFY_CA": "ssl_ca",
    "mysql://u:s3cret@h/d?ssl_mode=DISABLED&ssl_ca={pem}/cert.pem": "no effect",
    "mysql://u:s3cret@h/d?ssl_mode=PREFERRED&ssl_ca={pem}/cert.pem": "no effect",
    "mysql://u:s3cret@h/d?ssl_ca=/nowhere": "ssl_ca=/nowhere",
    "mysql://u:s3cret@h/d?ssl_key={pem}/key.pem": "ssl_cert",
    "mysql://u:s3cret@h/d?ssl_cert={pem}/cert.pem": "ssl_cert=",
    "mysql://u:s3cret@h/d?charset=latin1": "charset=latin1",
    "mysql://u:s3cret@h/d?read_timeout=3": "read_timeout",
    "mysql://u:s3cret@h1,h2/d": "one host",
}


@pytest.mark.parametrize("url", REFUSED)
def test_what_cannot_be_used_is_refused(url, pem, monkeypatch, tmp_path):
    """A URL that cannot be used is refused in one line that says what is wrong, and shows no password."""
    monkeypatch.setenv("HOME", str(tmp_path))
    kind = MySQLAddress if url.startswith("mysql") else PostgresAddress
    with pytest.raises(ValueError, match=re.escape(REFUSED[url])) as caught:
        kind.parse(url.format(pem=pem))
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["postgresql://u:s3cret@h/d?password=s3cret", "mariadb://u:s3cret@h/d"])
def test_no_password_in_repr(url):
    """An address that is printed shows no password."""
    address = (MySQLAddress if url.startswith("mariadb") else PostgresAddress).parse(url)
    assert SECRET not in f"{address!r} {address} {[address]}"
