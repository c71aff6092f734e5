"""The words of the live page by language; `words.toml` has them, one dictionary for everything.

`story.*` are the steps of slow motion (`lab/slow_motion/story.py`), `why.*` says how a control protects a row. A
workload says itself in English what it is; `summaries.ko.toml` has that in Korean.
Neighbours: `templates/`, `static/`.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from stockade.shop.http.requests.accept_language import preferred_language

LANGUAGES: Final = {"en": "English", "ko": "한국어"}
FILE: Final = Path(__file__).with_name("words.toml")
SUMMARIES: Final = {"ko": Path(__file__).with_name("summaries.ko.toml")}


@cache
def words(language: str) -> dict[str, str]:
    """All words in one language."""
    return {name: texts[language] for name, texts in tomllib.loads(FILE.read_text(encoding="utf-8")).items()}


@cache
def translated_summaries(language: str) -> dict[str, str]:
    """What workloads are, by name, in a language that is not English; empty for English."""
    return tomllib.loads(SUMMARIES[language].read_text(encoding="utf-8")) if language in SUMMARIES else {}


def summaries(language: str, english: Mapping[str, str]) -> dict[str, str]:
    """What each workload is, in one language; in English where it is not translated.

    Args:
        language: one of `LANGUAGES`.
        english: by name.
    """
    found = translated_summaries(language)
    return {name: found.get(name, text) for name, text in english.items()}


def language_of(accepted: str) -> str:
    """The language that a browser wants most of those that there are; English if none.

    Args:
        accepted: its Accept-Language header.
    """
    return preferred_language(accepted, LANGUAGES, "en")
