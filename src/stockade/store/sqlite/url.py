"""URLs of SQLite files."""

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from stockade.core.secrets import hide_password
from stockade.store.engine.address import DatabaseAddress


def read_url(text: str) -> DatabaseAddress:
    """Read `sqlite://` (memory, one process) or `sqlite:///file`.

    Raises:
        ValueError: not such a URL; one line without the password.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError(f"not a database URL: {text!r}; expected sqlite:///file") from None
    if url.query:
        raise ValueError(f"unknown URL parameter {next(iter(url.query))!r}: the URL of a SQLite file takes none")
    if url.host or url.username:
        raise ValueError(f"{hide_password(text)!r} names a host: a file is sqlite:///file, or sqlite:////folder/file")
    return DatabaseAddress(url.set(drivername="sqlite"), None)
