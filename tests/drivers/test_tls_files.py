"""Files of certificates and keys: what cannot be used is refused in one line, the same for every kind of server."""

import subprocess
import sys
from urllib.parse import quote

import pytest

from stockade.drivers.mysql import MySQLAddress
from stockade.drivers.postgres import PostgresAddress
from stockade.kafka.security import KafkaSecurity
from stockade.locks.redis.transport.address import Address

PASSPHRASE = "s3cret-phrase"
ASKED_S = 1.0


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """A certificate with its key, the key with a passphrase in both formats, another key, and what is no PEM file."""
    folder = tmp_path_factory.mktemp("papers")

    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)

    for name in ("", "other-"):
        to = ("-keyout", f"{name}key.pem", "-out", f"{name}cert.pem")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", *to)
    lock = ("-in", "key.pem", "-aes128", "-passout", f"pass:{PASSPHRASE}")
    openssl("pkey", *lock, "-out", "locked.pem")
    openssl("rsa", *lock, "-traditional", "-out", "locked-old.pem")
    openssl("x509", "-in", "cert.pem", "-outform", "DER", "-out", "cert.der")
    for name, own in (("both", "key.pem"), ("locked-both", "locked.pem")):
        (folder / f"{name}.pem").write_text((folder / "cert.pem").read_text() + (folder / own).read_text())
    (folder / "empty.pem").touch()
    (folder / "text.pem").write_text("no certificate")
    (folder / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    subprocess.run(["mkfifo", folder / "pipe.pem"], check=True)
    return folder


def by_url(parse, start):
    return lambda files: parse(start + "&".join(f"{name}={quote(str(path))}" for name, path in files.items()))


def kafka(files):
    return KafkaSecurity("ssl", **{name.removeprefix("kafka_"): str(path) for name, path in files.items()})


# what reads the parameters, and the names of those for an authority, a certificate and its key
SERVERS = {
    "postgresql": (by_url(PostgresAddress.parse, "postgresql://h/d?"), ("sslrootcert", "sslcert", "sslkey")),
    "mariadb": (by_url(MySQLAddress.parse, "mariadb://h/d?"), ("ssl_ca", "ssl_cert", "ssl_key")),
    "redis": (by_url(Address.parse, "rediss://h/0?"), ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")),
    "kafka": (kafka, ("kafka_ssl_ca", "kafka_ssl_cert", "kafka_ssl_key")),
}
KINDS = ("root", "certificate", "key")


def load(server, papers, **files):
    """Read the parameters of this kind of server, which name these files."""
    read, names = SERVERS[server]
    return read({names[KINDS.index(kind)]: papers / file for kind, file in files.items()})


# files by kind; the kind whose parameter and file are named; what is said
FAULTS = {
    "no such authority": ({"root": "nowhere.pem"}, "root", "No such file"),
    "a folder": ({"root": "."}, "root", "not a file"),
    "a pipe": ({"root": "pipe.pem"}, "root", "not a file"),
    "an empty authority": ({"root": "empty.pem"}, "root", "is empty"),
    "no PEM": ({"root": "text.pem"}, "root", "not a certificate in PEM format"),
    "DER": ({"root": "cert.der"}, "root", "not a certificate in PEM format"),
    "a key as authority": ({"root": "key.pem"}, "root", "not a certificate in PEM format"),
    "a broken authority": ({"root": "broken.pem"}, "root", "not a certificate in PEM format"),
    "no such certificate": ({"certificate": "nowhere.pem", "key": "key.pem"}, "certificate", "No such file"),
    "an empty certificate": ({"certificate": "empty.pem", "key": "key.pem"}, "certificate", "is empty"),
    "a broken certificate": ({"certificate": "broken.pem", "key": "key.pem"}, "certificate", "not a certificate with"),
    "no such key": ({"certificate": "cert.pem", "key": "nowhere.pem"}, "key", "No such file"),
    "an empty key": ({"certificate": "cert.pem", "key": "empty.pem"}, "key", "is empty"),
    "a certificate as key": ({"certificate": "cert.pem", "key": "cert.pem"}, "key", "not a private key in PEM format"),
    "another key": ({"certificate": "cert.pem", "key": "other-key.pem"}, "key", "KEY_VALUES_MISMATCH"),
    "a passphrase": ({"certificate": "cert.pem", "key": "locked.pem"}, "key", "the private key has a passphrase"),
    "a passphrase, old": ({"certificate": "cert.pem", "key": "locked-old.pem"}, "key", "has a passphrase"),
}
IN_ONE_FILE = {
    "no key": ({"certificate": "cert.pem"}, "certificate", "has no private key; name its file with"),
    "a passphrase": ({"certificate": "locked-both.pem"}, "certificate", "the private key has a passphrase"),
}


@pytest.mark.parametrize("server", SERVERS)
def test_what_cannot_be_used_is_named(server, papers):
    """Each fault is one line with the parameter, the file, and what is wrong with it; nothing asks or waits."""
    faults = [*FAULTS.items(), *(() if server == "kafka" else IN_ONE_FILE.items())]
    for name, (files, kind, said) in faults:
        with pytest.raises(ValueError, match="=") as told:
            load(server, papers, **files)
        message, parameter = str(told.value), SERVERS[server][1][KINDS.index(kind)]
        assert f"{parameter}={papers / files[kind]}" in message, (name, message)
        assert said in message, (name, message)
        assert "\n" not in message, name


@pytest.mark.parametrize("server", SERVERS)
def test_what_can_be_used(server, papers):
    """The control: the right files are taken; also a certificate and its key in one, except for Kafka."""
    load(server, papers, root="cert.pem")
    load(server, papers, certificate="cert.pem", key="key.pem")
    if server != "kafka":
        load(server, papers, certificate="both.pem")


def test_a_passphrase_of_kafka(papers):
    """Where a passphrase can be given, the right one opens the key; a wrong one is refused and not shown."""
    files = {"ssl_cert": str(papers / "cert.pem"), "ssl_key": str(papers / "locked.pem")}
    KafkaSecurity("ssl", **files, ssl_key_password=PASSPHRASE)
    with pytest.raises(ValueError, match="is kafka_ssl_key_password right") as told:
        KafkaSecurity("ssl", **files, ssl_key_password="wrong-phrase")
    assert "wrong-phrase" not in str(told.value)
    with pytest.raises(ValueError, match="give it with kafka_ssl_key_password"):
        KafkaSecurity("ssl", **files)


def test_openssl_alone_asks_and_waits(papers):
    """The control: without an answer of ours, the same key makes OpenSSL ask on the terminal, and wait."""
    program = "import ssl, sys; ssl.create_default_context().load_cert_chain(*sys.argv[1:])"
    command = [sys.executable, "-c", program, papers / "cert.pem", papers / "locked.pem"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, start_new_session=True, **pipes) as child:
        assert child.stdout.read(5) == b"Enter"
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(ASKED_S)
        child.kill()
