"""The secret of the state folder, which is made at its first use and shared by all processes of this machine.

Neighbour: `of_settings` decides what it signs.
"""

import os
import secrets
import stat
from pathlib import Path

from stockade.identity.secret_keys import MIN_SECRET
from stockade.shop.config.settings import BadSetting, Settings

SECRET_FILE = "token.secret"  # noqa: S105  # the file's name, not a secret


def token_secret(settings: Settings) -> bytes:
    """The secret of `settings`, else the one in the state folder, which is made at the first call.

    The file is written under another name and then linked, so processes that start together share one secret.

    Raises:
        BadSetting: the file is readable by others, too short, or cannot be made.
    """
    if settings.token_secret:
        return settings.token_secret.encode()
    path = settings.state_path / SECRET_FILE
    try:
        if not path.exists():
            _make_secret(path)
        mode = stat.S_IMODE(path.stat().st_mode)
        secret = path.read_bytes().strip()
    except OSError as error:
        raise BadSetting(f"{settings.with_source('state_dir')}: cannot make or read {path}: {error.strerror}") from None
    if mode & 0o077:
        raise BadSetting(f"{path} can be read by others (mode {mode:o}): run chmod 600 on it or remove it")
    if len(secret) < MIN_SECRET:
        raise BadSetting(f"{path} is too short: remove it and a new one is made")
    return secret


def _make_secret(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f"{SECRET_FILE}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(file.fileno())
        os.link(fresh, path)
    except FileExistsError:
        return  # another process was first; its secret is used
    finally:
        fresh.unlink()
