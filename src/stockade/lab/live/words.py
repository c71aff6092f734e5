"""The words of the live page by language; `words.toml` has them, one dictionary for everything.

`story.*` are the steps of slow motion (`lab/slow_motion/story.py`), `why.*` says how a control protects a row, and
`rule.*`, in `rules.toml`, what it means that a rule is broken. A workload says itself in English what it is;
`summaries.ko.toml` has that in Korean.
Neighbours: `templates/`, `static/`.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

LANGUAGES: Final = {"en": "English", "ko": "한국어"}  # the first is for whoever wants none of them
FILES: Final = {"": Path(__file__).with_name("words.toml"), "rule.": Path(__file__).with_name("rules.toml")}
SUMMARIES: Final = {"ko": Path(__file__).with_name("summaries.ko.toml")}


@cache
def words(language: str) -> dict[str, str]:
    """All words in one language."""
    return {
        f"{before}{name}": texts[language]
        for before, file in FILES.items()
        for name, texts in tomllib.loads(file.read_text(encoding="utf-8")).items()
    }


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
