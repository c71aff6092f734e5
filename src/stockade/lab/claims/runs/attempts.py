"""Optimistic control on one row against the number of buyers: success without a retry, attempts with, and the
crossover from which row locks are faster. Neighbour: `worst_case.py` has the bound."""

import statistics

from stockade.core import Backoff, JsonValue
from stockade.lab.claims.claim import BOTH, HOLDS_ONLY_WHEN, Claim, Measured, Tools
from stockade.lab.claims.shop_runs import race
from stockade.strategies.options import Options

BUYERS = (1, 2, 5, 10, 20, 40)
TURNS = 3
WITHOUT, WITH = Options(backoff=Backoff(retries=0)), Options(wait_s=20, backoff=Backoff(retries=1000))


async def run(tools: Tools) -> Measured:
    """Sweep the buyers of one row."""
    lines, rows = list[str](), list[JsonValue]()
    crossover, complete = 0, True
    found = list[tuple[float, float]]()
    for buyers in BUYERS:
        shared = {"buyers": buyers, "stock": buyers, "pool_size": buyers}
        once = [await race(tools, "optimistic", WITHOUT, **shared) for _ in range(TURNS)]
        pairs = [
            (await race(tools, "optimistic", WITH, **shared), await race(tools, "pessimistic", WITH, **shared))
            for _ in range(TURNS)
        ]
        share = sum(each.accepted for each in once) / (TURNS * buyers)
        attempts = sum(each.stats.transactions for each, _ in pairs) / max(1, sum(each.accepted for each, _ in pairs))
        optimistic_ms = statistics.median(each.seconds for each, _ in pairs) * 1000
        pessimistic_ms = statistics.median(each.seconds for _, each in pairs) * 1000
        if pessimistic_ms < optimistic_ms and not crossover and buyers > 1:
            crossover = buyers
        if pessimistic_ms >= optimistic_ms:
            crossover = 0
        lines.append(
            f"{buyers} buyers of one row: {share:.0%} succeed without a retry; with retries {attempts:.1f} attempts per"
            f" success, {optimistic_ms:.0f} ms, row locks {pessimistic_ms:.0f} ms"
        )
        rows.append(
            {
                "buyers": buyers,
                "success_share_without_retry": round(share, 4),
                "attempts_per_success": round(attempts, 3),
                "optimistic_ms": round(optimistic_ms, 2),
                "pessimistic_ms": round(pessimistic_ms, 2),
            }
        )
        found.append((share, attempts))
        complete = complete and all(each.accepted == buyers for pair in pairs for each in pair)
    lines.append(
        f"row locks are faster from {crossover} buyers on" if crossover else "row locks were not faster throughout"
    )
    why = "conflicts are rare: under contention most attempts are lost without a retry, and repeated with one"
    alone, crowd = found[0], found[-1]
    undisturbed = min(alone) == max(alone) == 1  # the control: one buyer has no conflict
    expected = undisturbed and crowd[0] < 1 and crowd[1] > 1 and complete
    return Measured(tuple(lines), HOLDS_ONLY_WHEN, why, expected, {"sweep": rows, "crossover_buyers": crossover})


CLAIM = Claim(
    "attempts",
    "Optimistic control needs no wait and is the fast one; 10 should succeed and only 7 do.",
    BOTH,
    run,
    databases=("postgres", "mariadb", "mysql"),
)
