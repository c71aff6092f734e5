"""Takes the values that came from the environment out of everything that is shown.

Neighbours: `runner.py` hides them in errors, `reports/` in documents, `stockade.cli.race` in lines.
"""

from collections.abc import Mapping
from typing import Any


def hide(text: str, secrets: Mapping[str, str]) -> str:
    """The text with the name of each variable instead of its value, longest values first.

    Args:
        text: to show.
        secrets: value -> name, see `files.load.Loaded`.
    """
    for value in sorted(secrets, key=len, reverse=True):
        text = text.replace(value, secrets[value])
    return text


def hide_all(value: Any, secrets: Mapping[str, str]) -> Any:
    """A value of lists and tables whose texts are hidden like that."""
    if isinstance(value, str):
        return hide(value, secrets)
    if isinstance(value, Mapping):
        return {hide_all(name, secrets): hide_all(each, secrets) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [hide_all(each, secrets) for each in value]
    return value
