"""`stockade serve`: run the shop over HTTP, in this process or in several."""

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from stockade.cli.common import (
    ConfigOption,
    DatabaseOption,
    SetOption,
    fail,
    one_line_errors,
    read_settings,
    telling_a_new_secret,
)
from stockade.cli.exit_codes import FAILED, UNUSABLE

if TYPE_CHECKING:
    import socket

    from stockade.shop.config.settings import Settings


def serve(
    *,
    database: DatabaseOption = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Strategy of every command group, default sequencer; see `stockade strategies`."
        ),
    ] = None,
    workers: Annotated[
        str | None, typer.Option(metavar="COUNT", help="Processes that share the socket, default 1.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on, default 127.0.0.1; 0.0.0.0 for all.")
    ] = None,
    port: Annotated[
        str | None, typer.Option(metavar="PORT", help="Port to listen on, default 8000; 0 takes a free one.")
    ] = None,
    gateway: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Payment gateway: toss, stripe, or test, a private one that charges nobody."),
    ] = None,
    shop_front: Annotated[bool, typer.Option("--shop-front", help="Pages of the shop for people, at /shop.")] = False,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="As --shop-front, with the data of `stockade demo` and sign-in by one click."),
    ] = False,
    allow_overselling: Annotated[
        bool, typer.Option("--allow-overselling", help="Start a strategy that sells units more than once.")
    ] = False,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Serve the HTTP API; stops in order on Ctrl-C.

    Without --database: a SQLite file in the state folder, made and migrated when needed. Any other database is never
    changed: run `stockade migrate` first.
    """
    from stockade.cli.serving.private_gateway import NAME, private_gateway

    private = gateway == NAME
    with one_line_errors(), ExitStack() as stack:  # the settings read the numbers too
        flags = {"database": database, "strategy": strategy, "workers": workers, "host": host, "port": port}
        flags["gateway"] = None if private else gateway
        allowed = "yes" if allow_overselling else None
        flags["shop_front"] = "demo" if demo else "yes" if shop_front else None
        read = read_settings(config, settings, **flags, allow_overselling=allowed)
        _serve(stack.enter_context(private_gateway(read)) if private else read, private=private, demo=demo)


def _serve(settings: "Settings", *, private: bool, demo: bool) -> None:
    """Check the settings, then serve; `private`: with a gateway that this process has started; `demo`: with its data.

    Raises:
        BadSetting, Busy, NotSupported: with the reason.
    """
    from stockade.shop.config.strategy_choice import check, check_servers, overselling
    from stockade.shop.operations import logs
    from stockade.shop.tokens import tokens_of

    check(settings)
    check_servers(settings)
    if settings.token_secrets or settings.token_secrets_file or settings.token_jwks:
        tokens_of(settings)  # refused before anything is opened; it makes no secret then
    settings = replace(settings, run_id=settings.run_id or logs.new_run_id())  # one for all serving processes
    logs.configure(settings)
    if settings.allow_overselling == "yes":
        others = "processes whose strategy sells units more than once may run beside this one"
        logs.logger().warning("overselling is allowed", reason=overselling(settings) or others)
    if demo:
        _make_demo(settings)
    if settings.workers == 1:
        _serve_here(settings, private)
    else:
        _serve_in_processes(settings, private)


def _make_demo(settings: "Settings") -> None:
    import asyncio

    from stockade.cli.database.data import make_demo
    from stockade.shop.demo import DemoRefused

    try:
        asyncio.run(make_demo(settings))
    except DemoRefused as refused:
        raise fail(str(refused)) from None


def _serve_here(settings: "Settings", private: bool) -> None:
    from stockade.cli.serving.ready import Announce
    from stockade.shop.http.server.server import run
    from stockade.shop.operations import logs
    from stockade.shop.operations.tune_gc import tune_gc

    with ExitStack() as making:  # a start that is refused tells nothing but why
        making.enter_context(telling_a_new_secret(settings, logs.logger().warning))

        def ready(listening: "socket.socket") -> None:
            making.close()
            tune_gc()
            Announce(settings, listening, private_gateway=private)()

        run(settings, ready)


def _serve_in_processes(settings: "Settings", private: bool) -> None:
    import asyncio

    from stockade.cli.serving.ready import Announce
    from stockade.shop.http.server.server import try_settings
    from stockade.shop.http.server.sockets import bind_all
    from stockade.shop.http.server.supervisor import ServingFailed, supervise
    from stockade.shop.operations import logs
    from stockade.shop.tokens import tokens_of

    try_settings(settings)  # before the port is bound
    with ExitStack() as stack:
        listening = [stack.enter_context(each) for each in bind_all(settings)]
        with telling_a_new_secret(settings, logs.logger().warning):
            tokens_of(settings)  # makes the secret here once, before several processes need it
        try:
            announce = Announce(settings, listening[0], private_gateway=private)
            asyncio.run(supervise(settings, listening, announce))
        except ServingFailed as failed:
            raise fail(str(failed), UNUSABLE if failed.unusable else FAILED) from None
