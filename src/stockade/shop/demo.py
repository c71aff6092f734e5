"""The data of `stockade demo`, made by commands only.

Ids are easy to type (`user-1`, `product-1`, `sku-1`), and request ids derive from them. So a second run, also after an
interruption, makes nothing twice. Neighbours: `commands` decide, `cli` shows the progress.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import chain

from stockade.core import Command, IdempotencyKeyReused, Outcome, Rejected
from stockade.service.ids import derived_id
from stockade.shop.commands import ChargePoints, CreateProduct, NewSku
from stockade.shop.model import constants

Execute = Callable[[Command], Awaitable[Outcome]]
Progress = Callable[[int, int], None]

CATEGORIES = ("clothes", "books", "kitchen", "toys", "garden")
FIRST_PRICE = 1_000
LAST_PRICE = 50_000
AT_ONCE = 64


class DemoRefused(Exception):
    """The shop refused demo data; the message says which and why."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """How many commands made something, and how many found it already made."""

    made: int
    there: int


async def create_demo(
    execute: Execute,
    users: int = 10,
    products: int = 10,
    stock: int = 100,
    points: int = 1_000_000,
    *,
    now_ms: int,
    progress: Progress | None = None,
    at_once: int = AT_ONCE,
) -> DemoResult:
    """Make the data.

    Args:
        execute: executes a command, e.g. `Shop.execute`.
        users: `user-1` … each with a points account.
        products: `product-1` … each with one SKU, `sku-1` …
        stock: units of every SKU.
        points: of every user, in won; 0 opens no accounts.
        now_ms: time of the data, in milliseconds since 1970.
        progress: called with (done, total) after each command.
        at_once: the most commands at the same time.

    Raises:
        ValueError: a number is negative.
        DemoRefused: the shop's rules do not allow such data, e.g. too many points.
        StockadeError: a command failed; a second run goes on from there.
    """
    if min(users, products, stock, points) < 0:
        raise ValueError("users, products, stock and points of the demo cannot be negative")
    charged = users if points else 0
    todo: Iterator[Command] = chain(_products(products, stock, now_ms), _charges(charged, points, now_ms))
    return await _carry_out(execute, todo, products + charged, at_once, progress)


async def _carry_out(
    execute: Execute, todo: Iterator[Command], total: int, at_once: int, progress: Progress | None
) -> DemoResult:
    """Execute all commands, `at_once` at the same time; the first error ends it."""
    there = done = 0

    async def work() -> None:
        nonlocal there, done
        for command in todo:
            was_there = await _there(execute, command)  # before `there` is read: other tasks change it meanwhile
            there += was_there
            done += 1
            if progress is not None:
                progress(done, total)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(at_once, total)):
                group.create_task(work())
    except ExceptionGroup as several:
        raise several.exceptions[0] from several
    return DemoResult(done - there, there)


def _charges(users: int, points: int, now_ms: int) -> Iterator[ChargePoints]:
    for number in range(1, users + 1):
        id_ = derived_id("demo", "points", number)
        yield ChargePoints(id_, id_, now_ms, f"user-{number}", points)


def _products(products: int, stock: int, now_ms: int) -> Iterator[CreateProduct]:
    """Prices and categories follow from the number, so that every demo looks the same."""
    for number in range(1, products + 1):
        id_ = derived_id("demo", "product", number)
        price = FIRST_PRICE + (number - 1) * FIRST_PRICE % LAST_PRICE
        category = CATEGORIES[(number - 1) % len(CATEGORIES)]
        skus = (NewSku(price, stock, f"sku-{number}"),)
        yield CreateProduct(id_, id_, now_ms, f"Product {number}", category, skus, f"product-{number}")


async def _there(execute: Execute, command: Command) -> bool:
    """Execute one command; returns whether its data existed before."""
    try:
        outcome = await execute(command)
    except IdempotencyKeyReused:
        return True
    if isinstance(outcome, Rejected):
        if outcome.code == constants.PRODUCT_CONFLICT:
            return True
        raise DemoRefused(f"{command.name} was refused with {outcome.code}: {dict(outcome.data)}")
    return outcome.replayed
