"""Reads a small document over HTTP or from a file, in the calling thread, within bounds of bytes and time.

https only; http for this machine only, which tests and sidecars use. A redirect is refused: it would replace the
address that the operator wrote. The proxy of the environment (`HTTPS_PROXY`, `NO_PROXY`) is used for https. Neighbours:
`time_limit` ends what takes too long, `jwks_keys` reads with this.
"""

import base64
import ipaddress
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from stockade.identity.errors import BadKeys, require_kind
from stockade.identity.time_limit import TimeLimit

_OK = 200
_LOCAL = "localhost"


def check_address(address: str) -> None:
    """Refuse an address that documents may not be read from.

    Raises:
        BadKeys: it is neither https, nor http on this machine, nor a path; or it has a password or a fragment.
    """
    require_kind(address, str, "the address of the keys must be a text")
    if "://" not in address:
        if not address:
            raise BadKeys("the address of the keys is empty")
        return
    try:
        url = urlsplit(address)
        host, _ = url.hostname, url.port
    except ValueError:
        raise BadKeys("the address of the keys is no URL") from None
    if url.scheme == "file" and not host:
        return
    if url.scheme not in ("https", "http") or not host:
        raise BadKeys("the address of the keys must be an https URL or a file")
    if url.username or url.password or url.fragment:
        raise BadKeys("the address of the keys must have no user, no password and no #")
    if url.scheme == "http" and not _is_loopback(host):
        raise BadKeys("the address of the keys must be https: whoever can change them can sign tokens")


def read(address: str, *, max_bytes: int, wait_s: float) -> bytes:
    """The document.

    Args:
        address: an https URL, an http URL of this machine, a path, or a file URL.
        max_bytes: the largest document.
        wait_s: the longest time, in seconds. A name server may add its own.

    Raises:
        BadKeys: the address is refused, the answer is not 200, or the document is larger.
        OSError: it cannot be read in time.
    """
    check_address(address)
    if "://" not in address:
        return _file(Path(address).expanduser(), max_bytes)
    url = urlsplit(address)
    if url.scheme == "file":
        return _file(Path(unquote(url.path)), max_bytes)
    return _get(url, max_bytes, wait_s)


def _file(path: Path, max_bytes: int) -> bytes:
    with path.open("rb") as opened:
        content = opened.read(max_bytes + 1)
    return _checked(content, max_bytes)


def _get(url: SplitResult, max_bytes: int, wait_s: float) -> bytes:
    connection = _connection(url, wait_s)
    with TimeLimit(wait_s) as limit:
        # http.client has no public way to it; tests/identity/test_fetch.py sees when this one is gone
        connection._create_connection = limit.connect  # type: ignore[attr-defined]  # noqa: SLF001
        try:
            content = _answer(url, connection, max_bytes)
        except (OSError, HTTPException) as error:
            if limit.is_over():
                raise TimeoutError(f"{url.hostname} did not answer within {wait_s:g} seconds") from None
            raise OSError(f"{url.hostname} cannot be read: {str(error) or type(error).__name__}") from error
        finally:
            connection.close()
        if limit.is_over():  # then the end of the document may be the end of the connection
            raise TimeoutError(f"{url.hostname} did not answer within {wait_s:g} seconds")
    return _checked(content, max_bytes)


def _answer(url: SplitResult, connection: HTTPConnection, max_bytes: int) -> bytes:
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    connection.request("GET", target, headers={"Accept": "application/json", "User-Agent": "stockade"})
    response = connection.getresponse()
    if response.status != _OK:
        raise BadKeys(f"{url.hostname} answered {response.status} instead of 200")
    length = response.length
    content = response.read(max_bytes + 1)
    if length is not None and len(content) < min(length, max_bytes):
        raise ConnectionError("the connection was closed before the end of the document")
    return content


def _checked(content: bytes, max_bytes: int) -> bytes:
    if len(content) > max_bytes:
        raise BadKeys(f"the document has more than {max_bytes:,} bytes")
    return content


def _connection(url: SplitResult, wait_s: float) -> HTTPConnection:
    assert url.hostname is not None
    if url.scheme == "http":
        return HTTPConnection(url.hostname, url.port, timeout=wait_s)
    context = ssl.create_default_context()
    proxy = getproxies().get("https")
    if proxy is None or proxy_bypass(url.hostname):
        return HTTPSConnection(url.hostname, url.port, timeout=wait_s, context=context)
    via = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    connection = HTTPSConnection(via.hostname or "", via.port, timeout=wait_s, context=context)
    login = f"{unquote(via.username)}:{unquote(via.password or '')}" if via.username else ""
    headers = {"Proxy-Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
    connection.set_tunnel(url.hostname, url.port, headers)
    return connection


def _is_loopback(host: str) -> bool:
    try:
        return host == _LOCAL or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
