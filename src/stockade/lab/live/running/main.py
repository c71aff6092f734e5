"""The process of one run: carries out a plan, control after control, and writes what a page shows as lines of JSON.

`python -m stockade.lab.live.running.main`; the first line of its input is the plan. It ends when its input does, or on
SIGTERM, and then its servers and service processes end too. A process of its own, so that the page's server neither
disturbs a run nor waits for it. Neighbours: `burst_leg.py`, `recording_leg.py`; `session.py` reads the lines.
"""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from typing import Any, Final

from stockade.lab.errors import LabError
from stockade.lab.lines import Input, run_child, said_by, write_line
from stockade.lab.live.plan import BURST, LivePlan
from stockade.lab.live.running.burst_leg import play_bursts
from stockade.lab.live.running.figures import Point, Sums
from stockade.lab.live.running.recording_leg import play_recording
from stockade.lab.model.contender import Contender
from stockade.lab.site.site_servers import SiteServers
from stockade.lab.targets.target_database import open_target_database

EVERY_S: Final = 0.25  # of rounds that follow each other faster, several are written at once


class Writer:
    """Writes the points of one leg, at most every `EVERY_S`.

    Args:
        leg: its number.
    """

    def __init__(self, leg: int) -> None:
        self._leg = leg
        self._points: list[dict[str, Any]] = []
        self._written_s = 0.0

    def show(self, point: Point, sums: Sums) -> None:
        """Keep a point, and write all that were kept if it is time."""
        self._points.append(point.as_json())
        if time.monotonic() - self._written_s >= EVERY_S:
            self.flush(sums)

    def judging(self) -> None:
        """Say that the load has ended, and that it takes a moment to judge it."""
        write_line({"event": "judging", "leg": self._leg})

    def flush(self, sums: Sums) -> None:
        """Write what was kept."""
        self._written_s = time.monotonic()
        write_line({"event": "points", "leg": self._leg, "points": self._points, "sums": sums.as_json()})
        self._points = []


async def carry_out(plan: LivePlan) -> None:
    """Every control of a plan in turn; one that cannot run does not stop the others."""
    async with AsyncExitStack() as stack:
        target = servers = None
        if plan.kind == BURST:
            write_line({"event": "opening", "what": plan.database})
            target = await stack.enter_async_context(open_target_database(plan.database, 8 * plan.processes))
        else:
            servers = await stack.enter_async_context(SiteServers())
        for leg, control in enumerate(plan.controls):
            write_line({"event": "leg", "leg": leg, "control": control})
            writer = Writer(leg)
            try:
                if target is not None:
                    sums, judged = await play_bursts(plan, control, target, writer.show)
                    verdict, kept, reason = judged.verdict, judged.kept, judged.reason
                else:
                    sums, found = await play_recording(plan, control, servers, writer.show, writer.judging)
                    verdict, kept, reason = found.verdict, found.kept, found.reason
            except LabError as error:
                write_line({"event": "left out", "leg": leg, "why": said_by(error)})
                continue
            writer.flush(sums)
            oversells = Contender.parse(control).guarantees.may_oversell
            write_line(
                {
                    "event": "verdict",
                    "leg": leg,
                    "verdict": verdict,
                    "kept": kept,
                    "reason": reason,
                    "must_fail": oversells,
                }
            )


async def main() -> None:
    """Read the plan, carry it out, and stop early if the parent closes the input."""
    async with Input() as lines:
        plan = LivePlan(**_as_plan(json.loads(await lines.first())))
        work = asyncio.create_task(carry_out(plan))
        closed = asyncio.create_task(lines.ended())
        try:
            await asyncio.wait([work, closed], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, closed):
                task.cancel()
            await asyncio.wait([work, closed])
        if not work.cancelled():
            work.result()


def _as_plan(sent: dict[str, Any]) -> dict[str, Any]:
    return {**sent, "controls": tuple(sent["controls"])}


if __name__ == "__main__":
    run_child(main())
