"""Certificates for TLS, of every kind of server: loaded while a URL or the settings are read, so that a bad file is
found there and named.

Neighbours: `postgres.py` (asyncpg makes its own contexts from the same files), `mysql.py`,
`locks.redis.transport.tls` (Redis), `kafka.security` (librdkafka reads the same files).
"""

import re
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

_CERTIFICATE = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----")
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")


class TlsFiles(NamedTuple):
    """The parameters of a kind of server that name PEM files.

    Attributes:
        root: certificates of authorities.
        certificate: the client's certificate.
        key: its private key; without it the key is in the certificate's file.
        passphrase: the parameter that has the key's passphrase; empty: there is none, so the key may not have one.
    """

    root: str
    certificate: str
    key: str
    passphrase: str = ""


def load_files(context: ssl.SSLContext, given: Mapping[str, str], names: TlsFiles) -> None:
    """Load the files that the parameters give.

    Args:
        context: to load them into.
        given: parameters by their names; those that are no files are left alone.
        names: of the parameters.

    Raises:
        ValueError: a file is missing, cannot be read, or is not what it should be; a key without its certificate, of
            another one, or with a passphrase that is missing. One line that names parameter and file.
    """
    if names.root in given:
        path = _pem(names.root, given, _CERTIFICATE, "certificate")
        try:
            context.load_verify_locations(cafile=path)
        except (ssl.SSLError, OSError) as error:
            raise ValueError(f"{names.root}={path}: not a certificate in PEM format ({_reason(error)})") from None
    if names.key in given and names.certificate not in given:
        raise ValueError(f"{names.key} without {names.certificate}: name the certificate of that key too")
    if names.certificate in given:
        _load_own(context, given, names)


def _load_own(context: ssl.SSLContext, given: Mapping[str, str], names: TlsFiles) -> None:
    """The client's certificate and key; OpenSSL would ask for a passphrase on the terminal, and wait."""
    path, holder = _pem(names.certificate, given, _CERTIFICATE, "certificate"), names.certificate
    key = None
    if names.key in given:
        key, holder = _pem(names.key, given, _KEY, "private key"), names.key
    elif not _KEY.search(path.read_bytes()):
        raise ValueError(f"{names.certificate}={path}: has no private key; name its file with {names.key}")
    try:
        context.load_cert_chain(path, key, password=_answer(given.get(names.passphrase)))
    except _Asked:
        hint = f"give it with {names.passphrase}" if names.passphrase else "give a key without one"
        raise ValueError(f"{holder}={key or path}: the private key has a passphrase; {hint}") from None
    except (ssl.SSLError, OSError, ValueError) as error:
        both = f"{names.certificate}={path}" + (f", {names.key}={key}" if key else "")
        perhaps = f"; is {names.passphrase} right?" if names.passphrase in given else ""
        raise ValueError(f"{both}: not a certificate with its key ({_reason(error)}){perhaps}") from None


class _Asked(Exception):
    """OpenSSL needs a passphrase, and there is none."""


def _answer(passphrase: str | None) -> Callable[[], str]:
    def answer() -> str:
        if passphrase is None:
            raise _Asked
        return passphrase

    return answer


def _pem(name: str, given: Mapping[str, str], wanted: re.Pattern[bytes], what: str) -> Path:
    """The file of a parameter, made sure to hold such a part."""
    path = Path(given[name])
    try:
        if path.exists() and not path.is_file():  # e.g. a pipe, whose other end may never write
            raise ValueError(f"{name}={path}: not a file")
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{name}={path}: {error.strerror or error}") from None
    if not wanted.search(content):
        found = "is empty" if not content.strip() else f"not a {what} in PEM format"
        raise ValueError(f"{name}={path}: {found}")
    return path


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or " ".join(str(error).split())
