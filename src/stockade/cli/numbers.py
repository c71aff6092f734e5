"""Options that take a whole number, refused in one wording: Typer's differs from version to version."""

from collections.abc import Callable
from typing import Any

import typer


def count(about: str, least: int, most: int) -> Any:
    """An option that takes a whole number.

    Args:
        about: its help.
        least: the smallest that is allowed.
        most: the largest.
    """
    return typer.Option(metavar="COUNT", help=about, min=least, max=most, parser=whole(least, most))


def whole(least: int, most: int) -> Callable[[str], int]:
    """Function: text -> whole number within the bounds, which raises typer.BadParameter for every other text."""

    def read(text: str) -> int:
        digits = str(text)  # a default arrives as a number
        if not digits.isdecimal() or not least <= int(digits) <= most:
            raise typer.BadParameter(f"must be a whole number from {least:,} to {most:,}, not {digits!r}")
        return int(digits)

    return read
