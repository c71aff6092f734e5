"""Options that take a number, refused in one wording: Typer's differs from version to version."""

import math
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


def decimal(about: str, least: float, most: float) -> Any:
    """An option that takes a number, whole or not.

    Args:
        about: its help.
        least: the smallest that is allowed.
        most: the largest; neither is infinite.
    """
    return typer.Option(metavar="N", help=about, min=least, max=most, parser=finite(least, most))


def finite(least: float, most: float) -> Callable[[str], float]:
    """Function: text -> number within the bounds, which raises typer.BadParameter for every other text."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:  # what is no number is in no range
            raise typer.BadParameter(f"must be a number from {least:,g} to {most:,g}, not {str(text)!r}")
        return number

    return read


def whole(least: int, most: int) -> Callable[[str], int]:
    """Function: text -> whole number within the bounds, which raises typer.BadParameter for every other text."""

    def read(text: str) -> int:
        digits = str(text)  # a default arrives as a number
        if not digits.isdecimal() or not least <= int(digits) <= most:
            raise typer.BadParameter(f"must be a whole number from {least:,} to {most:,}, not {digits!r}")
        return int(digits)

    return read
