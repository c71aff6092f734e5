"""The command `stockade`. It needs Typer, so a bare install is told which extra brings it."""

import sys


def main() -> None:
    """Run the command line; exits with its code."""
    try:
        from stockade.cli import app
    except ModuleNotFoundError as missing:
        if missing.name not in ("typer", "rich", "click"):
            raise
        sys.exit("stockade: the command line needs the extra `shop`; install stockade[shop]")
    try:
        app(prog_name="stockade")
    except OSError as error:  # e.g. the disk that the output goes to is full
        sys.exit(f"error: {error.strerror or error}")


if __name__ == "__main__":
    main()
