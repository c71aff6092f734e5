"""Encryption and login of a private Kafka: its own certificate authority, certificates by `openssl`, and one user.

There is one listener for each way to connect. Neighbour: `cluster.py` adds the listeners to the settings; the broker
itself uses the one in plain text.
"""

import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stockade.devservers.errors import ServerFailed, ServerUnavailable

USER = "stockade"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
# listener -> protocol; TLS asks clients for a certificate
LISTENERS = {"SECURE": "SASL_SSL", "TLS": "SSL", "LOGIN": "SASL_PLAINTEXT"}
_JAAS = "org.apache.kafka.common.security"
_LIMIT_S = 60.0
_DAYS = "30"


@dataclass(frozen=True, slots=True)
class Secured:
    """How clients connect to these listeners.

    Attributes:
        urls: `host:port` of each listener: `SECURE` (SASL_SSL), `TLS` (SSL with a client certificate), `LOGIN`
            (SASL_PLAINTEXT).
        username, password: of the one user.
        ca: PEM file of the authority.
        cert, key: PEM files of the client, the key without a password.
        locked_key, key_password: the same key, encrypted.
        other_ca: PEM file of another authority, which has signed none of these certificates.
    """

    urls: Mapping[str, str]
    username: str
    password: str
    ca: Path
    cert: Path
    key: Path
    locked_key: Path
    key_password: str
    other_ca: Path


def issue(folder: Path, urls: Mapping[str, str], host: str) -> Secured:
    """Make the authority and all certificates.

    Args:
        folder: where the files go; the user that runs the broker must be able to read them.
        urls: of the listeners.
        host: in the broker's certificate.

    Raises:
        ServerUnavailable: `openssl` is not installed.
        ServerFailed: `openssl` ended with an error.
    """
    for name in ("ca", "other-ca"):
        subject = ["-subj", f"/CN=stockade {name}", "-keyout", f"{name}.key", "-out", f"{name}.pem"]
        _openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", _DAYS, *subject)
    _signed(folder, "broker", f"IP:{host}")
    _signed(folder, "client", "DNS:client")
    whole = (folder / "broker.key").read_text() + (folder / "broker.pem").read_text() + (folder / "ca.pem").read_text()
    (folder / "keystore.pem").write_text(whole)
    secured = Secured(
        urls,
        USER,
        secrets.token_urlsafe(12),
        folder / "ca.pem",
        folder / "client.pem",
        folder / "client.key",
        folder / "client.locked.key",
        secrets.token_urlsafe(12),
        folder / "other-ca.pem",
    )
    locked = ["-aes256", "-passout", f"pass:{secured.key_password}"]
    _openssl(folder, "pkey", "-in", "client.key", "-out", secured.locked_key.name, *locked)
    for file in folder.iterdir():
        file.chmod(0o644)  # the folder itself is closed to others
    return secured


def _signed(folder: Path, name: str, alternative: str) -> None:
    """A key and a certificate that the authority signed."""
    request = ["-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr"]
    _openssl(folder, "req", *request, "-subj", f"/CN={name}")
    (folder / f"{name}.ext").write_text(f"subjectAltName={alternative}\n")
    by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", _DAYS, "-extfile", f"{name}.ext"]
    _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *by)


def _openssl(folder: Path, *arguments: str) -> None:
    program = shutil.which("openssl")
    if program is None:
        raise ServerUnavailable("no openssl for the certificates: apt-get install openssl")
    done = subprocess.run(
        [program, *arguments], cwd=folder, capture_output=True, text=True, timeout=_LIMIT_S, check=False
    )
    if done.returncode:
        raise ServerFailed(f"openssl {arguments[0]} ended with {done.returncode}:\n{done.stderr[-1_000:]}")


def broker_settings(secured: Secured) -> dict[str, object]:
    """The broker's settings for these listeners."""
    folder = secured.ca.parent
    mapped = {"CONTROLLER": "PLAINTEXT", "PLAINTEXT": "PLAINTEXT", **LISTENERS}
    found: dict[str, object] = {
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in mapped.items()),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": folder / "keystore.pem",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": secured.ca,
        "listener.name.tls.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": ",".join(MECHANISMS),
    }
    plain = f'{_JAAS}.plain.PlainLoginModule required user_{secured.username}="{secured.password}";'
    scram = f"{_JAAS}.scram.ScramLoginModule required;"
    for listener in ("secure", "login"):
        for mechanism in MECHANISMS:
            name = f"listener.name.{listener}.{mechanism.lower()}.sasl.jaas.config"
            found[name] = plain if mechanism == "PLAIN" else scram
    return found


def format_options(secured: Secured) -> list[str]:
    """Options of the storage tool that register the user for SCRAM."""
    user = f"name={secured.username},password={secured.password}"
    return [word for each in MECHANISMS[1:] for word in ("--add-scram", f"{each}=[{user}]")]
