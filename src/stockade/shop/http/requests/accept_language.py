"""Which language a client wants most of those that a page is written in: the Accept-Language header.

Neighbours: the shop front and the live page of the lab choose their words by it.
"""

from collections.abc import Collection
from typing import Final

MOST_LANGUAGES: Final = 20  # that are read of one header


def preferred_language(accepted: str, offered: Collection[str], default: str) -> str:
    """The offered language of the greatest weight, the first of equal ones. Source: RFC 9110, section 12.5.4.

    A region is not compared: `ko-KR` is `ko`. What has the weight 0, or one that is no number up to 1, does not count.

    Args:
        accepted: value of the header; empty: there was none.
        offered: codes of the languages that there are, e.g. `en`.
        default: where none of them is accepted.
    """
    ranked: list[tuple[float, int, str]] = []
    for place, each in enumerate(accepted.lower().split(",")[:MOST_LANGUAGES]):
        tag, _, parameter = each.strip().partition(";")
        try:
            weight = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            continue  # a malformed weight: as if the language were not named
        if 0 < weight <= 1:
            ranked.append((-weight, place, tag.strip().partition("-")[0]))
    return next((tag for _, _, tag in sorted(ranked) if tag in offered), default)
