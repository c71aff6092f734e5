"""The error of a race that cannot be run: one line, for people. Neighbours: every module of this folder raises it."""

from collections.abc import Iterator
from contextlib import contextmanager


class RaceError(Exception):
    """There is no verdict: the scenario, its server or its target cannot be used. The text says what to do."""


@contextmanager
def of_the_user(what: str) -> Iterator[None]:
    """Whatever a function of a scenario in Python raises becomes one line.

    Args:
        what: the field with the function.

    Raises:
        RaceError: it raised something; the cause has the traceback.
    """
    try:
        yield
    except RaceError:
        raise
    except Exception as error:
        raise RaceError(f"{what}: {type(error).__name__}: {error}") from error
