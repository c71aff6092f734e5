"""TLS as the parameters of a `rediss://` URL describe it; their names are redis-py's. Neighbour: `address.py`."""

import ssl
from collections.abc import Mapping
from pathlib import Path

TLS_PARAMETERS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")

_FILES = TLS_PARAMETERS[:3]
_REQUIREMENTS = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_YES, _NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def tls_context(given: Mapping[str, str]) -> ssl.SSLContext:
    """What the parameters ask for; without any, the server's certificate and name are checked.

    Args:
        given: values by the names of `TLS_PARAMETERS`.

    Raises:
        ValueError: a value means nothing, or a file is not there or cannot be used; the message names the parameter.
    """
    for name in _FILES:
        if name in given and not Path(given[name]).is_file():
            raise ValueError(f"{name}: there is no file {given[name]!r}")
    context = ssl.create_default_context()
    requirement = given.get("ssl_cert_reqs", "required").lower()
    if requirement not in _REQUIREMENTS:
        raise ValueError(f"ssl_cert_reqs must be none, optional or required, got {given['ssl_cert_reqs']!r}")
    wanted = _flag(given, "ssl_check_hostname")
    context.check_hostname = wanted and requirement != "none"
    context.verify_mode = _REQUIREMENTS[requirement]
    _load_files(context, given)
    return context


def _flag(given: Mapping[str, str], name: str) -> bool:
    text = given.get(name, "true").lower()
    if text not in (*_YES, *_NO):
        raise ValueError(f"{name} must be true or false, got {given[name]!r}")
    return text in _YES


def _load_files(context: ssl.SSLContext, given: Mapping[str, str]) -> None:
    if authorities := given.get("ssl_ca_certs"):
        try:
            context.load_verify_locations(cafile=authorities)
        except OSError as error:  # ssl.SSLError is one
            raise ValueError(f"ssl_ca_certs: {authorities!r} cannot be used: {error}") from error
    certificate, key = given.get("ssl_certfile"), given.get("ssl_keyfile")
    if key and not certificate:
        raise ValueError("ssl_keyfile needs ssl_certfile")
    if certificate:
        try:
            context.load_cert_chain(certificate, key, password=_no_passphrase)
        except (OSError, ValueError) as error:
            raise ValueError(f"ssl_certfile, ssl_keyfile: they cannot be used: {error}") from error


def _no_passphrase() -> str:
    """Keys with a passphrase are refused: without this OpenSSL would ask for it on the terminal, and wait."""
    raise ValueError("the key has a passphrase; give one without")
