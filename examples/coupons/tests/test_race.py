"""The first 100 get a coupon, one each; and without protection the same test fails."""

import pytest

from conftest import STRATEGIES
from coupons.application import APPLICATION
from coupons.commands import CreateCampaign, GiveCoupon
from stockade.core import Accepted, Busy, Conflict
from stockade.service import open_service
from stockade.testing import race_commands, request_ids

NOW_MS = 1_700_000_000_000
TRIES = 5  # after the first, on a machine that is busy with other work


async def run(database, strategy, *, allow_overselling=False):
    """150 users ask at once, 30 of them twice; the outcomes, and what the audit finds."""
    ids = request_ids("race", strategy)
    asks = [GiveCoupon(next(ids), "spring", f"user-{n % 150}", NOW_MS) for n in range(180)]
    async with open_service(APPLICATION, database, strategy, allow_overselling=allow_overselling) as service:
        await service.execute(CreateCampaign(next(ids), "spring", 100, 60.0, NOW_MS))
        results = await race_commands(service.execute, asks)
        for _ in range(TRIES):  # as clients do: who has no decision asks again, with the same request id
            again = [n for n, each in enumerate(results) if isinstance(each, Busy | Conflict)]
            for n, each in zip(again, await race_commands(service.execute, [asks[n] for n in again]), strict=True):
                results[n] = each
    found = await database.read(APPLICATION.audit)
    return [each for each in results if isinstance(each, Accepted)], found


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_the_first_100_get_one_each(database, strategy):
    """Exactly 100 coupons with the numbers 1 to 100, and the audit finds nothing."""
    given, violations = await run(database, strategy)
    assert violations == []
    assert sorted(each.data["number"] for each in given) == list(range(1, 101))


async def test_without_protection_it_fails(database):
    """The negative control: `unprotected` gives out more than there are, and the audit says so."""
    given, violations = await run(database, "unprotected", allow_overselling=True)
    assert len(given) > 100
    assert violations
