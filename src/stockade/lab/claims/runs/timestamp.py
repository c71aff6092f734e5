"""Version against timestamp: two writes within the resolution of the clock look like none."""

from stockade.core import Backoff
from stockade.lab.claims.claim import HOLDS_ONLY_WHEN, JAVA, Claim, Measured, Tools
from stockade.lab.claims.shop_runs import Race, race
from stockade.strategies.options import Options

BUYERS, POOL, PLENTY = 30, 8, 100
RETRIES = Backoff(retries=1000)


async def run(tools: Tools) -> Measured:
    """Race under four stamps."""

    async def play(spread_ms: int, **options: bool) -> Race:
        chosen = Options(wait_s=20, backoff=RETRIES, **options)  # type: ignore[arg-type]
        return await race(tools, "optimistic", chosen, buyers=BUYERS, stock=PLENTY, pool_size=POOL, spread_ms=spread_ms)

    same = await play(0, timestamp=True, bare=True)
    apart = await play(1000, timestamp=True, bare=True)
    forward = await play(0, timestamp=True)
    version = await play(0)
    lost = [each.accepted - each.sold for each in (same, apart, forward, version)]
    names = (
        "plain clock in ms, all orders within one ms",
        "plain clock, orders a second apart",
        "clock that always moves forward (`stamp = timestamp` here)",
        "version",
    )
    lines = tuple(f"{name}: {count} of {BUYERS} updates lost" for name, count in zip(names, lost, strict=True))
    why = "no two writes of a row have one time: a clock in ms alone does not promise that, a version does"
    expected = lost[0] > 0 and not any(lost[1:])
    return Measured(lines, HOLDS_ONLY_WHEN, why, expected, {"lost": lost})


CLAIM = Claim("timestamp", "A version number or a timestamp is compared at the write.", JAVA, run)
