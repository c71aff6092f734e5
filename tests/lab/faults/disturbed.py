"""What faults touch, without a recording: a real site, children that do nothing, and a load that remembers."""

import contextlib
import os
import random
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from stockade.lab.recording.fault import Disturbed
from tests.waiting import eventually_async

CHILD = "import sys, time\nfor line in sys.stdin: print(time.time(), time.monotonic(), flush=True)"


class Children:
    """`fault.Processes` of children that answer each line with their clocks. Every fault point is reached at once."""

    def __init__(self, count=2, name="service"):
        self.name = name
        self.processes = [None] * count
        self.environments = [{}] * count
        self.starts = 0

    @property
    def count(self):
        return len(self.processes)

    async def start(self):
        for number in range(self.count):
            await self.replace(number)
        self.starts = 0

    async def kill(self, number):
        process, self.processes[number] = self.processes[number], None
        if process is not None:
            process.kill()
            process.communicate()

    async def pause(self, number):
        os.kill(self.pid(number), signal.SIGSTOP)
        await self.was_signalled(number, 5.0)

    async def resume(self, number):
        if self.pid(number):
            os.kill(self.pid(number), signal.SIGCONT)

            async def goes_on():
                return self.state(number) != "T"

            await eventually_async(goes_on)

    async def replace(self, number, environment=None):
        await self.kill(number)
        if environment is not None:
            self.environments[number] = environment
        self.starts += 1
        self.processes[number] = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.environments[number]},
        )

    def set_environment(self, number, environment):
        self.environments[number] = environment

    async def signal_at_point(self, number, point, signal):
        self.signalled = (number, point, signal)
        os.kill(self.pid(number), signal)
        return True

    async def was_signalled(self, number, wait_s):
        async def hit():
            return self.state(number) in "TXZ"

        return await eventually_async(hit, wait_s)

    async def serves(self, number, wait_s):
        async def runs():
            return self.state(number) == "S"

        return await eventually_async(runs, max(wait_s, 0.1))

    def pid(self, number):
        process = self.processes[number]
        return process.pid if process is not None and process.poll() is None else 0

    def state(self, number):
        """S: it runs or waits; T: it is stopped; X: it is away."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if pid := self.pid(number):
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
                return "S" if state in "RSDI" else state
        return "X"

    @property
    def states(self):
        return "".join(self.state(number) for number in range(self.count))

    def clocks(self, number):
        """Wall clock and monotonic clock of a child."""
        process = self.processes[number]
        process.stdin.write("\n")
        process.stdin.flush()
        return tuple(map(float, process.stdout.readline().split()))

    async def close(self):
        for number in range(self.count):
            await self.resume(number)
            await self.kill(number)


@dataclass
class Load:
    """`fault.LoadControl` that remembers."""

    rate_factor: float = 1.0
    duplicate_share: float = 0.0
    cancel_share: float = 0.0

    def set_rate_factor(self, factor):
        self.rate_factor = factor

    def set_duplicate_share(self, share):
        self.duplicate_share = share

    def set_cancel_share(self, share):
        self.cancel_share = share


def disturbed_at(site, processes=None, workers=None, *, database="postgres"):
    """What faults touch, over this site; without processes if there are none."""
    return Disturbed(
        site,
        Children(0) if processes is None else processes,
        Children(0, "log worker") if workers is None else workers,
        Load(),
        random.Random(7),
        database,
        "redis-pubsub",
        lease_s=0.2,
    )


@contextlib.asynccontextmanager
async def disturbed_on(site, workers=0):
    """All of it, over a site."""
    processes, logs = Children(), Children(workers, "log worker")
    await processes.start()
    await logs.start()
    try:
        yield disturbed_at(site, processes, logs, database=site.database.kind)
    finally:
        await processes.close()
        await logs.close()
