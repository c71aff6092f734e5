"""Takes the values that came from the environment out of everything that is shown. Neighbours: the reports."""

from collections.abc import Mapping


def hide(text: str, secrets: Mapping[str, str]) -> str:
    """The text with the name of each variable instead of its value, longest values first.

    Args:
        text: to show.
        secrets: value -> name, see `files.load.Loaded`.
    """
    for value in sorted(secrets, key=len, reverse=True):
        text = text.replace(value, secrets[value])
    return text
