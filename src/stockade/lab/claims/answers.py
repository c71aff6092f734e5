"""Runs claims one after the other on one database. Neighbours: `claim.py`, and the command line, which shows them."""

import time
from collections.abc import AsyncIterator, Sequence

from stockade.lab.claims.claim import Answer, Claim, Tools
from stockade.lab.targets.redis_servers import private_redis_missing

CONNECTIONS = 80  # of the claim that opens most


async def answer_all(claims: Sequence[Claim], tools: Tools) -> AsyncIterator[Answer]:
    """Each claim with what was measured, as soon as it is known."""
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
        measured = await claim.run(tools)
        yield Answer(claim, database, measured, seconds=time.monotonic() - start)
