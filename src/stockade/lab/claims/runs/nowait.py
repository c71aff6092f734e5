"""Not waiting at all: `pessimistic` with NOWAIT, against waiting, on one row that is held and on one that is contended.

No report has it; it is the other end of their time-out. Neighbour: `lock_wait.py` holds the row.
"""

import statistics
import time

from stockade.core import Busy, JsonValue
from stockade.lab.claims.claim import HOLDS_ONLY_WHEN, Claim, Measured, Tools
from stockade.lab.claims.runs.lock_wait import held_row
from stockade.lab.claims.shop_runs import PRICE, race, running
from stockade.lab.model.burst import Burst
from stockade.lab.runs.repeats import create_rows, fresh_names
from stockade.strategies.options import Options

BUYERS, POOL, AT_ONCE_S = 30, 8, 0.5


async def run(tools: Tools) -> Measured:
    """Refuse instead of waiting, on a held row and on a contended one."""
    refused_s, code = await _refusal(tools)
    shared = {"buyers": BUYERS, "stock": BUYERS, "pool_size": POOL}
    nowait = await race(tools, "pessimistic", Options(nowait=True), **shared)
    waiting = await race(tools, "pessimistic", Options(), **shared)
    median_ms = [statistics.median(each.waited_s) * 1000 for each in (nowait, waiting)]
    lines = (
        f"a held row: {code} after {refused_s * 1000:.1f} ms",
        (
            f"{BUYERS} buyers of one row, NOWAIT: {nowait.accepted} served, {sum(nowait.failed.values())} Busy,"
            f" median answer {median_ms[0]:.1f} ms"
        ),
        f"{BUYERS} buyers of one row, waiting: {waiting.accepted} served, median answer {median_ms[1]:.1f} ms",
    )
    expected = (
        refused_s < AT_ONCE_S
        and code == "LOCK_TIMEOUT"
        and waiting.accepted == BUYERS
        and nowait.accepted == nowait.sold >= 1
        and nowait.accepted + sum(nowait.failed.values()) == BUYERS
    )
    figures: dict[str, JsonValue] = {
        "refused_ms": round(refused_s * 1000, 2),
        "served": [nowait.accepted, waiting.accepted],
        "median_ms": [round(each, 2) for each in median_ms],
    }
    why = "the caller has something better to do than to wait, and may ask again: nothing happened"
    return Measured(lines, HOLDS_ONLY_WHEN, why, expected, figures)


async def _refusal(tools: Tools) -> tuple[float, str]:
    names = fresh_names(1, 1)
    product, keys = names.product(1, PRICE, 1)
    await create_rows(tools.target, [Burst((product,), (), keys, 1, -1)])
    async with running(tools, "pessimistic", Options(nowait=True), 2) as (strategy, _), held_row(tools, keys[0].id):
        start = time.monotonic()
        try:
            await strategy.execute(names.order(0, names.id("user"), keys, "LATER"))
        except Busy as error:
            return time.monotonic() - start, error.code
    return time.monotonic() - start, "served"


CLAIM = Claim("nowait", "A transaction may refuse to wait: SELECT … FOR UPDATE NOWAIT.", "this project", run)
