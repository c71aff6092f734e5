"""Takes secrets out of everything that is shown: values of the environment, and what the set-up saved for headers.

Neighbours: `runner.py` hides them in errors, `reports/` in documents, `stockade.cli.race` in lines.
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus

SHORT = 4  # characters


def hide(text: str, secrets: Mapping[str, str]) -> str:
    """The text with the name of each variable instead of its value, also as JSON or a URL has it; longest first.

    Args:
        text: to show.
        secrets: value -> name, see `files.load.Loaded`.
    """
    for value in sorted(secrets, key=len, reverse=True):
        for form in sorted({value, json.dumps(value)[1:-1], quote(value, safe=""), quote_plus(value)}, key=len)[::-1]:
            text = _as_word(form).sub(lambda _, name=secrets[value]: name, text)  # type: ignore[misc]
    return text


def hide_in_error(text: str, secrets: Mapping[str, str]) -> str:
    """The text of an error like that, and for whoever cannot see why it was refused, where the value is from."""
    hidden = hide(text, secrets)
    named = [name for name in dict.fromkeys(secrets.values()) if hidden.count(name) > text.count(name)]
    return (
        f"{hidden} ({', '.join(named)}: hidden here, a value of the environment or of the set-up)" if named else hidden
    )


def _as_word(value: str) -> re.Pattern[str]:
    """Where a value stands; a short one only where it is a word, because its letters are in half of a report."""
    edges = (r"(?<!\w)", r"(?!\w)") if len(value) < SHORT else ("", "")
    return re.compile(re.escape(value).join(edges))


def hide_all(value: Any, secrets: Mapping[str, str]) -> Any:
    """A value of lists and tables whose texts are hidden like that."""
    if isinstance(value, str):
        return hide(value, secrets)
    if isinstance(value, Mapping):
        return {hide_all(name, secrets): hide_all(each, secrets) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [hide_all(each, secrets) for each in value]
    return value
