"""In which language a page is shown: the one that was chosen, else the one that the browser wants (Accept-Language).

Neighbours: the shop front and the live page of the lab choose their words by it.
"""

from collections.abc import Collection
from typing import Final

MOST_LANGUAGES: Final = 20  # that are read of one header


def language_for(asked: str, accepted: str, offered: Collection[str]) -> str:
    """The language that was asked for, else the one of the greatest weight, the first of equal ones.

    A region is not compared: `ko-KR` is `ko`. What has the weight 0, or one that is no number up to 1, does not count.
    Source: RFC 9110, section 12.5.4.

    Args:
        asked: what the visitor chose on a page; empty, or none of those that there are: nothing.
        accepted: value of the header; empty: there was none.
        offered: codes of the languages that there are, e.g. `en`; the first is for whoever wants none of them.
    """
    if asked in offered:
        return asked
    ranked: list[tuple[float, int, str]] = []
    for place, each in enumerate(accepted.lower().split(",")[:MOST_LANGUAGES]):
        tag, _, parameter = each.strip().partition(";")
        try:
            weight = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            continue  # a malformed weight: as if the language were not named
        if 0 < weight <= 1:
            ranked.append((-weight, place, tag.strip().partition("-")[0]))
    return next((tag for _, _, tag in sorted(ranked) if tag in offered), next(iter(offered)))
