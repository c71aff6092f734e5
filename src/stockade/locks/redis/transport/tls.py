"""TLS as the parameters of a `rediss://` URL describe it; their names are redis-py's. Neighbours: `address.py`,
`drivers.tls` (the files)."""

import ssl
from collections.abc import Mapping

from stockade.drivers.tls import TlsFiles, load_files

TLS_PARAMETERS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")

_FILES = TlsFiles(*TLS_PARAMETERS[:3])
_REQUIREMENTS = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_YES, _NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def tls_context(given: Mapping[str, str]) -> ssl.SSLContext:
    """The TLS context of these parameters; without any, the server's certificate and name are checked.

    Args:
        given: values by the names of `TLS_PARAMETERS`.

    Raises:
        ValueError: a value means nothing, or a file cannot be used; the message names the parameter.
    """
    context = ssl.create_default_context()
    requirement = given.get("ssl_cert_reqs", "required").lower()
    if requirement not in _REQUIREMENTS:
        raise ValueError(f"ssl_cert_reqs must be none, optional or required, got {given['ssl_cert_reqs']!r}")
    wanted = _flag(given, "ssl_check_hostname")
    context.check_hostname = wanted and requirement != "none"
    context.verify_mode = _REQUIREMENTS[requirement]
    load_files(context, given, _FILES)
    return context


def _flag(given: Mapping[str, str], name: str) -> bool:
    text = given.get(name, "true").lower()
    if text not in (*_YES, *_NO):
        raise ValueError(f"{name} must be true or false, got {given[name]!r}")
    return text in _YES
