"""Runs claims one after the other on one database. Neighbours: `claim.py`, and the command line, which shows them."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from stockade.lab.claims.claim import Answer, Claim, Tools
from stockade.lab.errors import LabError
from stockade.lab.targets.redis_servers import private_redis_missing

CONNECTIONS = 80  # of the claim that opens most


async def answer_all(claims: Sequence[Claim], tools: Tools) -> AsyncIterator[Answer]:
    """Each claim with what was measured, as soon as it is known; an error of one ends no other."""
    no_redis = private_redis_missing()
    for claim in claims:
        database = tools.target.name
        if database not in claim.databases:
            yield Answer(claim, database, None, f"says nothing about {database}: run it with --database postgres")
            continue
        if "redis" in claim.needs and no_redis:
            yield Answer(claim, database, None, no_redis)
            continue
        start = time.monotonic()
        try:
            answer = Answer(claim, database, await claim.run(tools))
        except Exception as error:  # noqa: BLE001 - of a driver, a server or the run; the other claims are still measured
            kind = "" if isinstance(error, LabError) else f"{type(error).__name__}: "
            why = f"its run failed: {kind}{' '.join(str(error).split())}"
            answer = Answer(claim, database, None, why, failed=True)
        yield replace(answer, seconds=time.monotonic() - start)
