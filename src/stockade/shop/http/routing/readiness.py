"""Whether this process can take orders now: the registration, the database, and the servers of the strategies.

Neighbours: `service_routes` answers `/readyz` with it; `cli.ready` asks there until it is ready.
"""

import asyncio

from stockade.core import Busy, Strategy, SupportsReadiness
from stockade.shop.http.routing.app_state import AppState
from stockade.shop.migrations import SCHEMA
from stockade.store.schema.migrate import shown


async def readiness_problems(state: AppState) -> list[str]:
    """Why the process cannot take orders now; empty when it can. Takes at most the setting `wait_s`."""
    if state.concurrency.stopping:
        return ["the process is stopping"]
    registration = state.shop.registration
    if registration is not None and registration.refused:
        return [registration.refused]
    wait_s = state.settings.wait_s
    strategies = set(state.shop.strategies.values())
    found = await asyncio.gather(_database(state, wait_s), *(_server(each, wait_s) for each in strategies))
    return sorted(filter(None, found))


async def _server(strategy: Strategy, wait_s: float) -> str:
    return await strategy.missing_server(wait_s) if isinstance(strategy, SupportsReadiness) else ""


async def _database(state: AppState, wait_s: float) -> str:
    try:
        async with asyncio.timeout(wait_s):  # a read takes longer: it may wait `wait_s` for its connection alone
            revisions = await SCHEMA.revisions(state.shop.database, timeout_s=wait_s)
            await state.shop.database.check_writable(timeout_s=wait_s)
    except Busy as busy:
        return f"the database cannot be used: {busy.code}"
    except TimeoutError:
        return f"the database did not answer within {wait_s} s"
    if SCHEMA.can_serve(revisions):
        return ""
    found = shown(revisions) if any(revisions.values()) else "missing"
    return f"the schema is {found}, not {shown(SCHEMA.newest())}: run stockade migrate"
