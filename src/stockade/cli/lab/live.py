"""`stockade lab --live`: serves the live page. `stockade.lab.live` does the work; `burst.py` has the option."""

import asyncio
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from stockade.lab.live.server import Serving

HOST: Final = "127.0.0.1"
PORT: Final = 8_765
LOCAL: Final = ("127.0.0.1", "::1", "localhost")


def serve_live(host: str, port: int) -> None:
    """Serve it until Ctrl-C.

    Args:
        host: to listen on.
        port: 0: a free one.

    Raises:
        LabError: it cannot listen there.
    """
    import uvloop

    from stockade.lab.live.server import serve

    def begun(serving: "Serving") -> None:
        typer.echo(f"The live page of the lab: {serving.url}")
        if host not in LOCAL:
            typer.echo("It can be reached from other machines: whoever has this address can start runs.", err=True)
        typer.echo("Ctrl-C ends it, and whatever runs.", err=True)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(host, port, begun))
