"""`stockade token` and `stockade strategies`."""

from typing import Annotated

import typer

from stockade.cli.common import ConfigOption, SetOption, fail, one_line_errors, read_settings, telling_a_new_secret
from stockade.cli.output.table import render, screen_width

HEADS = ("strategy", "what it does", "promise", "stands beside", "databases", "needs")
PIPE_WIDTH = 100  # a table of all columns is three times as wide, which nobody can read


def token(
    user: Annotated[str, typer.Argument(metavar="USER", help="The user, as an identity provider would name it.")],
    admin: Annotated[bool, typer.Option("--admin", help="May act for anyone and use every route.")] = False,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Print a development bearer token for a user."""
    from stockade.shop.tokens import issuer_of

    with one_line_errors():
        chosen = read_settings(config, settings)
        with telling_a_new_secret(chosen, lambda line: typer.echo(f"warning: {line}", err=True)):
            tokens = issuer_of(chosen)
        try:
            typer.echo(tokens.issue(user, valid_s=chosen.token_hours * 3_600, admin=admin))
        except ValueError as error:
            raise fail(str(error)) from None


def strategies() -> None:
    """List the strategies: what each does, promises, may stand beside on one database, and needs."""
    from stockade.core import Guarantees
    from stockade.strategies import registry

    def described(guarantees: Guarantees) -> str:
        if guarantees.may_oversell:
            return "nothing: it must be seen to fail"
        words = ["one process" if guarantees.processes == "one" else "many processes"]
        words += [f"survives {', '.join(guarantees.faults)}"] if guarantees.faults else []
        words += [f"order: {guarantees.order}"] if guarantees.order != "none" else []
        return "; ".join(words)

    rows = []
    for name in registry.names():
        guarantees = registry.guarantees(name)
        needs = ", ".join(guarantees.needs) or "nothing"
        beside, databases = registry.stands_beside(name), ", ".join(guarantees.databases)
        rows.append((name, registry.summary(name), described(guarantees), beside, databases, needs))
    typer.echo(render(HEADS, rows, width=screen_width() or PIPE_WIDTH))
