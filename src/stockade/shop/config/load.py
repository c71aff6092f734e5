"""Reads `Settings` from flags, the environment and a TOML file, in this order of precedence.

`strategy` sets every `strategy_…` that the same source does not name, so a flag `--strategy` wins over an environment
variable for one group. Neighbours: `settings` defines them; the command line calls `load_settings`.
"""

import difflib
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stockade.core.secrets import hide_password
from stockade.shop.config.settings import BadSetting, Settings, setting_fields

PREFIX = "STOCKADE_"
DEFAULT_FILE = "stockade.toml"
_CONFIG = "STOCKADE_CONFIG"
_ALL = "strategy"
_MAX_FILE_BYTES = 1_000_000
_SECRETS = "token_secrets"
Where = Callable[[str], str]  # name of a setting -> how a source writes it


def load_settings(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    config: str | None = None,
    folder: Path | None = None,
    *,
    written: Mapping[str, str] | None = None,
) -> Settings:
    """The settings in force.

    Args:
        flags: settings given on the command line by name; None means not given.
        environ: the environment; `STOCKADE_POOL_SIZE` is the setting `pool_size`.
        config: path of a TOML file; else `STOCKADE_CONFIG`, else `stockade.toml` in `folder` if there is one.
        folder: where to look for `stockade.toml`; the working directory by default.
        written: how each of the flags was written, e.g. `--port`; for messages.

    Raises:
        BadSetting: an unknown name, a bad value (the message names its source), or an unreadable file.
    """
    path = config or environ.get(_CONFIG) or None
    by_option = written or {}
    sources: list[tuple[Where, Mapping[str, object]]] = [
        (
            lambda name: by_option.get(name, "the command line"),
            {name: value for name, value in flags.items() if value is not None},
        ),
        (lambda name: f"{PREFIX}{name.upper()}", _from_environment(environ)),
        (lambda name: f"{name} in {path or DEFAULT_FILE}", _from_file(path, folder or Path.cwd())),
    ]
    values: dict[str, object] = {}
    origin: dict[str, str] = {}
    for where, given in sources:
        for name, (value, source) in _expanded(given, where).items():
            if name not in values:
                values[name], origin[name] = value, source
    for name, value in values.items():
        try:
            Settings(**{name: value})  # type: ignore[arg-type]  # one at a time, so that the message can name the source
        except BadSetting as bad:
            raise BadSetting(f"{bad} (from {origin[name]})") from None
    return Settings(**values, sources=origin)  # type: ignore[arg-type]  # each was checked above


def _names() -> tuple[str, ...]:
    return tuple(item.name for item in setting_fields())


def _expanded(given: Mapping[str, object], where: Where) -> dict[str, tuple[object, str]]:
    """Each value and how it was written; `strategy` written out for each group.

    Raises:
        BadSetting: a name that is no setting.
    """
    known = _names()
    expanded = {name: (value, where(name)) for name, value in given.items() if name != _ALL}
    for name in expanded:
        if name not in known:
            close = difflib.get_close_matches(name, (*known, _ALL), n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; allowed: {', '.join((_ALL, *known))}"
            raise BadSetting(f"unknown setting {hide_password(name)} (from {hide_password(where(name))}){hint}")
    if _ALL in given:
        for name in known:
            if name.startswith(f"{_ALL}_"):
                expanded.setdefault(name, (given[_ALL], where(_ALL)))
    return expanded


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    """The settings among the variables, and misspelled ones, which `_expanded` refuses.

    Other variables with the same prefix, e.g. of the tests, are ignored. An empty one counts as unset.
    """
    known = (*_names(), _ALL)
    found: dict[str, object] = {}
    for variable, value in environ.items():
        name = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or variable == _CONFIG or not value:
            continue
        if name in known or difflib.get_close_matches(name, known, n=1, cutoff=0.85):
            found[name] = value
    return found


def _from_file(path: str | None, folder: Path) -> dict[str, Any]:
    file = Path(path) if path else folder / DEFAULT_FILE
    if path is None and not file.is_file():
        return {}
    try:
        with file.open("rb") as opened:
            raw = opened.read(_MAX_FILE_BYTES + 1)
        if len(raw) > _MAX_FILE_BYTES:
            raise BadSetting(f"{file} is larger than {_MAX_FILE_BYTES:,} bytes")
        return _with_secrets_as_text(tomllib.loads(raw.decode()))
    except OSError as error:
        raise BadSetting(f"cannot read {file}: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSetting(f"{file} is not valid TOML: {error}") from None


def _with_secrets_as_text(values: dict[str, Any]) -> dict[str, Any]:
    """The table `[token_secrets]` in the form that the other sources have.

    Raises:
        BadSetting: a secret cannot be written in it. The message quotes none.
    """
    table = values.get(_SECRETS)
    if not isinstance(table, dict):
        return values
    for name, secret in table.items():
        if not isinstance(secret, str) or "," in secret or "=" in name:
            raise BadSetting(f"{_SECRETS}: {name!r} must be a text without a comma, and its name without =")
    return {**values, _SECRETS: ",".join(f"{name}={secret}" for name, secret in table.items())}
