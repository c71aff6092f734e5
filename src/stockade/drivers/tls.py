"""Certificates for TLS: loaded once while a URL is read, so that a bad file is found there and named.

Neighbours: `postgres.py` (asyncpg makes its own contexts from the same files), `mysql.py`.
"""

import ssl
from collections.abc import Mapping

from stockade.drivers.url import readable_file


def load_files(
    context: ssl.SSLContext, parameters: Mapping[str, str], *, root: str, certificate: str, key: str
) -> None:
    """Load the files that the parameters of these names give.

    Args:
        context: to load them into.
        parameters: of a URL.
        root: the parameter that names the certificates of authorities.
        certificate: the parameter that names the client's certificate.
        key: the parameter that names its private key; without it the key is in the certificate's file.

    Raises:
        ValueError: a file is missing, cannot be read, or is not what it should be; a key without a certificate.
    """
    if root in parameters:
        path = readable_file(root, parameters[root])
        try:
            context.load_verify_locations(cafile=path)
        except (ssl.SSLError, OSError) as error:
            raise ValueError(f"{root}={path}: not a certificate in PEM format ({_reason(error)})") from None
    if key in parameters and certificate not in parameters:
        raise ValueError(f"{key} without {certificate}: name the certificate of that key too")
    if certificate in parameters:
        path = readable_file(certificate, parameters[certificate])
        key_path = readable_file(key, parameters[key]) if key in parameters else None
        try:
            context.load_cert_chain(path, key_path, password=lambda: "")
        except (ssl.SSLError, OSError, ValueError) as error:
            raise ValueError(f"{certificate}={path}: not a certificate with its key ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error).replace("\n", " ")
