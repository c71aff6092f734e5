"""The words of the pages, a file for each language.

A test compares the files: all of them have the same keys, with the same names to fill in. Neighbours: `words` has the
files, `rendering` gives them to the templates.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

LANGUAGES = {"en": "English", "ko": "한국어"}  # the first is for whoever wants none of them
COOKIE = "stockade_language"


@lru_cache
def words_of(language: str) -> Mapping[str, str]:
    """The words of a language by their keys, e.g. `order.title`."""
    text = files("stockade.shop.front").joinpath("words", f"{language}.toml").read_text("utf-8")
    return dict(_flat(tomllib.loads(text)))


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


class Words:
    """The words of one language: `words("basket.lines", count=3)`.

    Args:
        language: one of `LANGUAGES`.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._words = words_of(language)

    def __call__(self, key: str, **values: object) -> str:
        """The words of a key, with the values filled in.

        Raises:
            KeyError: there is no such key.
        """
        text = self._words[key]
        return text.format(**values) if values else text

    def known(self, key: str, fallback: str) -> str:
        """The words of a key that may be missing, for what the service is free to add: codes and states."""
        return self._words.get(key, fallback)
