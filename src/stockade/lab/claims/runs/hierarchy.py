"""The hierarchy: a lock in the process, in the database, on a lock server; over one and over two processes.

The reference test, with the lab's own processes and checks. Several databases are not played: the shop has one.
"""

import io

from rich.console import Console

from stockade.core import JsonValue
from stockade.lab.claims.claim import HOLDS, JAVA, Claim, Measured, Tools
from stockade.lab.model.contender import Contender
from stockade.lab.presets import find
from stockade.lab.reporting.table import LiveTable
from stockade.lab.runs.plan import Plan
from stockade.lab.runs.runner import Runner
from stockade.lab.targets.redis_servers import RedisServers

STRATEGIES = ("in-process", "pessimistic", "redis-pubsub", "unprotected")
PROCESSES = (1, 2)
REPEATS = 3


async def run(tools: Tools) -> Measured:
    """Run the reference test in one and in two processes."""
    redis = RedisServers((tools.redis_url,))
    lines, broken = list[str](), dict[str, list[bool]]()
    for processes in PROCESSES:
        plan = Plan(
            find("reference"), [Contender.parse(name) for name in STRATEGIES], processes=processes, repeats=REPEATS
        )
        with LiveTable(Console(file=io.StringIO()), processes) as table:
            for found in await Runner(plan, tools.target, redis, table).run():
                broken.setdefault(found.strategy, []).append(bool(found.violations))
                said = f"{found.accepted} of {found.stock} sold, {len(found.violations)} violations in the worst repeat"
                lines.append(f"{found.strategy}, {processes} process{'es' * (processes > 1)}: {said}")
    expected = {
        "in-process": [False, True],
        "pessimistic": [False, False],
        "redis-pubsub": [False, False],
        "unprotected": [True, True],
    }
    lines.append("several databases are not played here: the shop has one")
    figures: dict[str, JsonValue] = {name: list(found) for name, found in broken.items()}
    why = "a lock reaches as far as what keeps it: the process, the database, every client of the lock server"
    return Measured(tuple(lines), HOLDS, why, broken == expected, {"broken_by_processes": figures})


CLAIM = Claim(
    "hierarchy",
    "One instance: a lock in the process. Many instances: the database. Many databases: a distributed lock.",
    JAVA,
    run,
    needs=frozenset({"redis"}),
)
