"""The words of the live page by language; `words.toml` has them, one dictionary for everything.

`story.*` are the steps of slow motion (`lab/slow_motion/story.py`), `why.*` says how a control protects a row.
Neighbours: `templates/`, `static/`.
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Final

from stockade.shop.http.requests.accept_language import preferred_language

LANGUAGES: Final = {"en": "English", "ko": "한국어"}
FILE: Final = Path(__file__).with_name("words.toml")


@cache
def words(language: str) -> dict[str, str]:
    """All words in one language."""
    return {name: texts[language] for name, texts in tomllib.loads(FILE.read_text(encoding="utf-8")).items()}


def language_of(accepted: str) -> str:
    """The language that a browser wants most of those that there are; English if none.

    Args:
        accepted: its Accept-Language header.
    """
    return preferred_language(accepted, LANGUAGES, "en")
