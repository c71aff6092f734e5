"""The command `stockade`. What needs no package answers without one; the rest is told which extra brings it."""

import os
import sys

from stockade import __version__

_OF_THE_COMMAND_LINE = ("typer", "click", "rich")
_HELP = ("-h", "--help")


def main() -> None:
    """Run the command line; exits with its code (docs/reference/cli.md)."""
    from stockade.cli.exit_codes import FAILED

    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe went away, as `head` does: nobody is there to be told
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    except OSError as error:  # e.g. the disk that the output goes to is full
        place = f": {error.filename}" if error.filename else ""
        sys.stderr.write(f"error: {error.strerror or error}{place}\n")
        code = FAILED
    sys.exit(code)


def _run(words: list[str]) -> int:
    """Run a command; its exit code, which the command line of the extra `shop` passes by SystemExit."""
    if words == ["--version"]:
        sys.stdout.write(f"stockade {__version__}\n")
        return 0
    if words[:1] == ["locks"]:
        from stockade.cli.locks import main as locks

        return locks(words[1:])
    from stockade.cli.exit_codes import OK, UNUSABLE
    from stockade.core.extras import advice

    try:
        from stockade.cli import app

        app(prog_name="stockade")
    except ModuleNotFoundError as missing:
        if not (what := advice(missing.name)):
            raise
        if missing.name in _OF_THE_COMMAND_LINE and (not words or words[0] in _HELP):
            sys.stdout.write(_without_typer(what))
            return OK if words else UNUSABLE
        rest = " (`stockade locks` works without it)" if missing.name in _OF_THE_COMMAND_LINE else ""
        sys.stderr.write(f"error: {what}{rest}\n")
        return UNUSABLE
    return 0


def _without_typer(what: str) -> str:
    """The help of an install without the extra that brings the other commands.

    Args:
        what: what is not installed, and the line that installs it.
    """
    from stockade.cli.locks import ABOUT

    words = {
        "stockade locks": f"{ABOUT} `stockade locks -h` has its options.",
        "stockade --version": "Show the version.",
    }
    return "".join(f"{name:<20}{about}\n" for name, about in words.items()) + f"All other commands: {what}\n"


if __name__ == "__main__":
    main()
