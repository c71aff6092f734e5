"""Secrets of your own for HS256: several with names, so that they rotate.

Neighbours: `signatures` checks with them, `refreshing_keys` reads a file of them again.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from stockade.identity.errors import BadKeys, require_kind
from stockade.identity.keys import Key, Keys, digest_of
from stockade.identity.refreshing_keys import Refresh, RefreshingKeys, Report
from stockade.identity.signatures import SYMMETRIC

MIN_SECRET = 16
MAX_SECRETS = 20
OF_FILES = Refresh(refresh_s=60, retry_s=5)
_MAX_BYTES = 65_536
_MAX_NAME = 64


class SecretKeys:
    """Secrets that do not change while the process runs.

    Args:
        secrets: by the name (`kid`) that tokens carry.
        without_name: the secret of tokens without a name.

    Raises:
        BadKeys: there is none, there are more than 20, or one has less than 16 bytes.
    """

    public = False
    algorithms = frozenset({SYMMETRIC})

    def __init__(self, secrets: Mapping[str, str | bytes], *, without_name: str | bytes | None = None) -> None:
        self._keys = Keys(_keys(secrets, without_name))

    def at_hand(self) -> Keys:
        """The keys."""
        return self._keys

    async def load(self) -> Keys:
        """The keys; no others can be loaded."""
        return self._keys


class SecretFileKeys(RefreshingKeys):
    """Secrets in a file with one `name = secret` on each line, which is read again from time to time.

    Args:
        path: of the file; only its owner may read it. Lines that begin with `#` are comments.
        without_name: the secret of tokens without a name.
        refresh: how often it is read.
        report: called in another thread: with the reason when reading begins to fail, with None when it works again.

    Raises:
        BadKeys: as `SecretKeys`, or the file cannot be read, or others can read it.
    """

    public = False
    algorithms = frozenset({SYMMETRIC})

    def __init__(
        self,
        path: Path,
        *,
        without_name: str | bytes | None = None,
        refresh: Refresh = OF_FILES,
        report: Report | None = None,
    ) -> None:
        def read() -> Iterator[Key]:
            return _keys(read_secrets(path), without_name)

        require_kind(path, Path, "the file of the secrets must be a pathlib.Path")
        first = Keys(read())  # what is wrong is told here and not to the first client
        super().__init__(read, refresh, report, first=first)

    def secrets(self) -> list[bytes]:
        """The secrets that were read last, in the order of the file."""
        return [key.material for key in self._keys or ()]


def parse_secrets(text: str, separator: str = ",") -> dict[str, str]:
    """The secrets in `name=secret,name=secret`, in this order.

    Args:
        text: as in a setting.
        separator: between two of them; a file has line feeds.

    Raises:
        BadKeys: a part is no `name=secret`, or a name stands twice. The message quotes no secret.
    """
    found: dict[str, str] = {}
    for number, part in enumerate(text.split(separator), 1):
        if not part.strip() or part.lstrip().startswith("#"):
            continue
        name, equals, secret = (each.strip() for each in part.partition("="))
        if not equals or not name or not secret:
            raise BadKeys(f"entry {number} is not name=secret")
        if len(name) > _MAX_NAME or not name.isprintable():
            raise BadKeys(f"the name of entry {number} must have at most {_MAX_NAME} printable characters")
        if name in found:
            raise BadKeys(f"entry {number} has the name of another one")
        found[name] = secret
    return found


def read_secrets(path: Path) -> dict[str, str]:
    """The secrets in a file, in the order of its lines.

    Raises:
        BadKeys: others can read it, it cannot be read, or it has another form.
    """
    try:
        with path.open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            raw = opened.read(_MAX_BYTES + 1)
        text = raw.decode()
    except OSError as error:
        raise BadKeys(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadKeys(f"{path} is not text in UTF-8") from None
    if mode & 0o077:
        raise BadKeys(f"{path} can be read by others (mode {mode:o}): run chmod 600 on it")
    if len(raw) > _MAX_BYTES:
        raise BadKeys(f"{path} has more than {_MAX_BYTES:,} bytes")
    try:
        return parse_secrets(text, "\n")
    except BadKeys as bad:
        raise BadKeys(f"{path}: {bad}") from None


def _keys(secrets: Mapping[str, str | bytes], without_name: str | bytes | None) -> Iterator[Key]:
    require_kind(secrets, Mapping, "the secrets must be a mapping of names to secrets")
    if not secrets and without_name is None:
        raise BadKeys("there is no secret that tokens are signed with")
    if len(secrets) > MAX_SECRETS:
        raise BadKeys(f"there are {len(secrets)} secrets; at most {MAX_SECRETS} are used")
    named: list[tuple[str | None, str | bytes]] = list(secrets.items())
    for name, secret in named if without_name is None else [*named, (None, without_name)]:
        whose = f"the secret {name or 'of tokens without a name'}"
        require_kind(secret, (str, bytes), f"{whose} must be text or bytes")
        raw = secret.encode() if isinstance(secret, str) else secret
        if len(raw) < MIN_SECRET:
            raise BadKeys(f"{whose} has less than {MIN_SECRET} bytes")
        yield Key(name, SYMMETRIC, digest_of(raw), raw)
