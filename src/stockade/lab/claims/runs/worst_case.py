"""The worst case of optimistic control: n writers in step, of whom one wins each round. n(n+1)/2 attempts.

The rounds are played step by step: everybody reads, then everybody writes. Neighbour: `attempts.py` measures races.
"""

from stockade.lab.claims.claim import HOLDS, JAVA, Claim, Measured, Tools
from stockade.lab.deadlock.rows import open_rows
from stockade.lab.deadlock.session import open_sessions

WRITERS = 10


async def run(tools: Tools) -> Measured:
    """Play the rounds of ten writers."""
    target = tools.target
    async with open_rows(target.url, target.name, 1) as rows, open_sessions(target.url, WRITERS) as sessions:
        left, attempts, winners = list(sessions), 0, list[int]()
        while left:
            reads = [await session.rows(rows.read((1,))) for session in left]
            attempts += len(left)
            written = [
                await session.run(rows.change(1, int(read[0][1]))) for session, read in zip(left, reads, strict=True)
            ]
            winners.append(sum(written))
            left = [session for session, count in zip(left, written, strict=True) if count == 0]
    bound = WRITERS * (WRITERS + 1) // 2
    said = f"{WRITERS} writers in step: one wins each round, {attempts} attempts; n(n+1)/2 = {bound}"
    expected = attempts == bound and set(winners) == {1}
    return Measured((said,), HOLDS, "every round has one winner", expected, {"writers": WRITERS, "attempts": attempts})


CLAIM = Claim(
    "worst-case",
    "Of 10,000 requests at once 1 succeeds and 9,999 retry: n(n+1)/2 attempts in the worst case.",
    JAVA,
    run,
    databases=("postgres", "mariadb", "mysql"),
)
