"""Lines of prose for people: broken between words in a terminal, never in a pipe.

An error is not printed by this module: it stays one line, because it may name a command to copy.
"""

import os
import sys
import textwrap

_UNKNOWN_WIDTH = 80  # of a terminal that tells none


def say(text: str, *, err: bool = False) -> None:
    """Print a line.

    Args:
        text: without a line break at its end.
        err: to standard error.
    """
    stream = sys.stderr if err else sys.stdout
    if stream.isatty():
        width = os.get_terminal_size(stream.fileno()).columns or _UNKNOWN_WIDTH
        text = textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
    stream.write(f"{text}\n")
    stream.flush()
