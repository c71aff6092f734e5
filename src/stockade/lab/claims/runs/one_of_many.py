"""One of N: only one buyer may win. Optimistic control without a retry fits; the others know it at once."""

from stockade.core import Backoff, JsonValue
from stockade.lab.claims.claim import HOLDS, JAVA, Claim, Measured, Tools
from stockade.lab.claims.shop_runs import Race, race
from stockade.strategies.options import Options

BUYERS, POOL = 30, 8


async def run(tools: Tools) -> Measured:
    """Sell one unit to thirty buyers under three controls."""
    shared = {"buyers": BUYERS, "stock": 1, "pool_size": POOL}
    optimistic = await race(tools, "optimistic", Options(backoff=Backoff(retries=0)), **shared)
    pessimistic = await race(tools, "pessimistic", Options(), **shared)
    control = await race(tools, "unprotected", Options(), **shared)
    lines = (
        _line("optimistic without a retry", optimistic),
        _line("row locks", pessimistic),
        _line("no protection (control)", control),
    )
    right = all(each.accepted == 1 and each.sold == 1 for each in (optimistic, pessimistic))
    why = "one of N wins; a loser of the same moment is told CONFLICT_RETRY, a later one OUT_OF_STOCK"
    figures: dict[str, JsonValue] = {
        "optimistic_ms": round(optimistic.seconds * 1000, 2),
        "pessimistic_ms": round(pessimistic.seconds * 1000, 2),
        "accepted": [optimistic.accepted, pessimistic.accepted, control.accepted],
    }
    return Measured(lines, HOLDS, why, right and control.accepted > 1, figures)


def _line(name: str, race: Race) -> str:
    failed = ", ".join(f"{count} {code}" for code, count in race.failed.items()) or "0 failed"
    return (
        f"{name}: {race.accepted} of {BUYERS} have the one unit, {race.rejected} refused, {failed},"
        f" {race.seconds * 1000:.0f} ms"
    )


CLAIM = Claim("one-of-many", "Optimistic control fits where only one may win.", JAVA, run)
