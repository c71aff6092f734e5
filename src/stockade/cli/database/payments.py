"""`stockade payments`: what a gateway left open, a person's decision about it, and the gateway's answers beside ours.

Neighbours: `shop.queries.unresolved_payments` finds, `shop.payments.decision` decides, `shop.payments.comparison`
compares.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from stockade.cli.common import (
    ConfigOption,
    DatabaseOption,
    SetOption,
    fail,
    one_line_errors,
    read_settings,
    with_database,
)
from stockade.cli.database.retention import StrategyOption
from stockade.cli.exit_codes import FAILED
from stockade.cli.output.table import render, screen_width

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stockade.core import JsonValue, Outcome
    from stockade.shop.config.settings import Settings
    from stockade.shop.payments.comparison import Compared
    from stockade.shop.queries.unresolved_payments import GatewayRecord

LIST_HEADS = ("id", "of", "state", "waits for", "amount", "since", "code")
SHOWN = (
    *("kind", "id", "of", "status", "replaced_by", "waits_for", "amount", "charged", "code", "created_at"),
    *("resolve_at", "tries", "gateway", "reference", "gateway_id"),
)
Json = Annotated[bool, typer.Option("--json", help="A document instead of a table.")]
Limit = Annotated[int, typer.Option(metavar="COUNT", min=1, max=100_000, help="The most of each kind.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="Of a payment or a refund, as listed.")]
Day = Annotated[str | None, typer.Option(metavar="DATE", help="A day in UTC: 2026-01-31.")]

app = typer.Typer(
    name="payments",
    help="Payments through a gateway: what is unresolved, a person's decision, and what the gateway says.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_(
    *,
    unresolved: Annotated[
        bool, typer.Option("--unresolved", help="Only what waits for the reconciler or for a person.")
    ] = False,
    limit: Limit = 100,
    as_json: Json = False,
    database: DatabaseOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Show payments, the newest first; or all payments and refunds that are unresolved, the oldest first."""
    import msgspec

    from stockade.shop.queries.unresolved_payments import newest_payments, unresolved_payments

    find = unresolved_payments if unresolved else newest_payments
    with one_line_errors():
        chosen = read_settings(config, settings, database=database)
        query = partial(find, limit=limit, gateway=chosen.gateway)
        found = with_database(chosen, lambda opened: opened.read(query))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    elif found:
        typer.echo(render(LIST_HEADS, [_row(each) for each in found], width=screen_width()))
    else:
        typer.echo("nothing is unresolved" if unresolved else "no payments through a gateway")


@app.command()
def show(
    id_: Id,
    *,
    as_json: Json = False,
    database: DatabaseOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Show one payment or refund: its states with their times, and the refunds of a payment."""
    import msgspec

    from stockade.shop.queries.unresolved_payments import payment_details

    with one_line_errors():
        chosen = read_settings(config, settings, database=database)
        find = partial(payment_details, id_=id_, gateway=chosen.gateway)
        details = with_database(chosen, lambda opened: opened.read(find))
    if details is None:
        raise fail(f"no payment through a gateway and no refund has the id {id_}")
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(details), indent=2).decode())
        return
    width = max(map(len, SHOWN))
    for name in SHOWN:
        value = _money(details.record, name) if name in ("amount", "charged") else getattr(details.record, name)
        if value not in ("", None):
            typer.echo(f"{name.replace('_', ' '):<{width}}  {value}")
    for step in details.history:
        typer.echo(f"{'state':<{width}}  {step.at} {step.status}")
    for refund in details.refunds:
        typer.echo(f"{'refund':<{width}}  {refund.id} {refund.status} {_money(refund)}")


@app.command()
def resolve(
    id_: Id,
    *,
    approved: Annotated[
        str | None,
        typer.Option(metavar="GATEWAY_ID", help="The buyer was charged the amount; the gateway's id of the payment."),
    ] = None,
    declined: Annotated[bool, typer.Option("--declined", help="The buyer was not charged, and will not be.")] = False,
    refunded: Annotated[
        str | None,
        typer.Option(metavar="GATEWAY_ID", help="Of a refund: the money was given back, under this id or by hand."),
    ] = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Of a refused refund: ask the gateway again, by a new refund.")
    ] = False,
    database: DatabaseOption = None,
    strategy: StrategyOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Record what a person found out at the gateway about a payment or a refund that waits for a person.

    Approved: the order is paid, or the points are added; what cannot be delivered any more is refunded. Declined: the
    order is reserved again. Approved after a recorded decline: the charge is refunded. Retry: the gateway must show
    that the money was not given back; then a new refund takes the place of the refused one. The first answer counts.
    What waits for a process with another gateway can be decided a quarter of an hour after it was due. Exit code 2:
    nothing was recorded, and why.
    """
    import asyncio

    from stockade.shop.payments.decision import NotDecidable

    if [approved is not None, declined, refunded is not None, retry].count(True) != 1:
        raise fail(
            "say what happened: --approved GATEWAY_ID or --declined of a payment, "
            "--refunded GATEWAY_ID or --retry of a refund"
        )
    gateway_id = approved if refunded is None else refunded
    if gateway_id is not None and not (gateway_id.strip() and gateway_id.isprintable() and len(gateway_id) <= 200):
        raise fail("the gateway's id must have 1 to 200 printable characters")
    with one_line_errors():
        chosen = read_settings(config, settings, database=database, strategy=strategy)
        how = _Answer.RETRY if retry else _Answer.PAYMENT if refunded is None else _Answer.REFUND
        try:
            outcome = asyncio.run(_resolve(chosen, id_, gateway_id, how))
        except NotDecidable as error:
            raise fail(str(error)) from None
    if not outcome.accepted:
        raise fail(f"{id_} was settled meanwhile: it is {outcome.data.get('status')}")
    _print_recorded(id_, how, outcome.data)


@app.command()
def reconcile(
    *,
    report: Annotated[bool, typer.Option("--report", help="Print the differences; nothing is changed.")] = False,
    since: Day = None,
    until: Day = None,
    pace: Annotated[
        float, typer.Option(metavar="COUNT", min=0.1, max=1_000, help="At most so many look-ups in a second.")
    ] = 10.0,
    as_json: Json = False,
    database: DatabaseOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Ask the gateway about every settled payment begun in a window of days, and compare its answers with ours.

    Default: since yesterday, until now; the day of --until is outside. Open payments are left out. Exit code 0: all
    alike. 1: there are differences. 2: it cannot tell: some look-ups had no answer, or all payments were left out.
    """
    import asyncio
    from dataclasses import asdict

    from stockade.core.clock import now_ms

    if not report:
        raise fail("reconcile only reports: say --report; the service itself resolves what is open")
    with one_line_errors():
        chosen = read_settings(config, settings, database=database)
        now = datetime.fromtimestamp(now_ms() / 1000, UTC)
        yesterday = (now - timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        since_ms, until_ms = _ms("--since", since, yesterday), _ms("--until", until, now)
        if since_ms >= until_ms:
            raise fail("--since must be before --until")
        found = asyncio.run(_compare(chosen, since_ms, until_ms, pace))
    if as_json:
        document = {**asdict(found), "differences": [each._asdict() for each in found.differences]}
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        _print_compared(found)
    if found.differences:
        raise typer.Exit(FAILED)
    left_out = found.of_other_gateways + found.not_found_by_reference
    if left_out and not (found.compared or found.unanswered):
        raise fail(f"nothing could be compared: all {left_out:,} payments of these days were left out")
    if found.unanswered:
        raise fail(f"the gateway gave no answer about {found.unanswered:,} payments: run it again")


class _Answer(Enum):
    PAYMENT = "about a payment"
    REFUND = "a refund was made"
    RETRY = "ask again for a refund"


def _print_recorded(id_: str, answer: _Answer, data: "Mapping[str, JsonValue]") -> None:
    if answer is _Answer.RETRY:
        typer.echo(f"{id_}: REPLACED by {data['refund_id']}, which is {data['status']}")
        return
    typer.echo(f"{id_}: {data['status']}")
    if answer is _Answer.PAYMENT and "refund_id" in data:
        typer.echo(f"what was paid cannot be delivered any more: refund {data['refund_id']} is owed")


async def _resolve(settings: "Settings", id_: str, gateway_id: str | None, answer: _Answer) -> "Outcome":
    from stockade.shop.bootstrap import open_shop
    from stockade.shop.database_checks import require_writable
    from stockade.shop.payments.decision import NotDecidable, decide_payment, decide_refund, retry_refund

    async with open_shop(settings, jobs=False, before=partial(require_writable, settings)) as shop:
        if answer is _Answer.PAYMENT:
            return await decide_payment(shop.execute, shop.read, id_, gateway_id)
        if answer is _Answer.REFUND:
            return await decide_refund(shop.execute, shop.read, id_, gateway_id or "")
        if shop.payments is None:
            raise NotDecidable("asking again needs the gateway: run it with the settings of the service")
        return await retry_refund(shop.payments, id_)


async def _compare(settings: "Settings", since_ms: int, until_ms: int, pace: float) -> "Compared":
    from stockade.shop.config.payment_gateway import gateway_of
    from stockade.shop.config.settings import BadSetting
    from stockade.shop.database import open_database
    from stockade.shop.database_checks import require_schema
    from stockade.shop.payments.comparison import compare

    gateway = gateway_of(settings)
    if gateway is None:
        raise BadSetting(f"{settings.with_source('gateway')}: must be the gateway whose payments are compared")
    opened = await open_database(settings)
    try:
        await require_schema(settings, opened)
        return await compare(
            opened.read, gateway, since_ms=since_ms, until_ms=until_ms, look_ups_per_s=pace, progress=_show
        )
    finally:
        await gateway.close()
        await opened.close()


def _show(done: int) -> None:
    if sys.stderr.isatty():
        typer.echo(f"\rlooked up {done:,}", nl=False, err=True)


def _ms(option: str, day: str | None, default: datetime) -> int:
    """The beginning of a day, or the default, in milliseconds since 1970.

    Raises:
        BadSetting: it is no date.
    """
    from stockade.shop.config.settings import BadSetting

    try:
        when = default if day is None else datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise BadSetting(f"{option} {day}: must be a day, e.g. {default:%Y-%m-%d}") from None
    return int(when.timestamp() * 1000)


def _row(record: "GatewayRecord") -> "Sequence[str]":
    since = record.created_at[:19]
    return record.id, record.of, record.status, record.waits_for, _money(record), since, record.code


def _money(record: "GatewayRecord", name: str = "amount") -> str:
    """An amount of a record; nothing where a refund has none."""
    from stockade.gateways import Money

    if name == "charged" and record.kind == "refund":
        return ""
    return str(Money(getattr(record, name), record.currency))


def _print_compared(found: "Compared") -> None:
    if found.differences:
        heads = ("payment", "reference", "we say", "the gateway says")
        typer.echo(render(heads, found.differences, width=screen_width()))
        typer.echo("")
    typer.echo(f"alike: {found.alike:,}; different: {len(found.differences):,}; no answer: {found.unanswered:,}")
    if found.not_found_by_reference:
        typer.echo(f"left out, because the gateway never told us its id: {found.not_found_by_reference:,}")
    if found.of_other_gateways:
        typer.echo(f"left out, because they are of another gateway: {found.of_other_gateways:,}")
