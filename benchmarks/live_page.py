"""What the live page costs: `python -m benchmarks.live_page`. Needs Chromium.

Idle: processor time of the page's server in percent of a core, while a page is open and nothing runs. Shown: the rate
of a recording that a page shows, with its chart, against the mean rate of two of `stockade lab record` with the same
settings, one before it and one after it, so that a machine that becomes slower or faster favours neither. These two
against each other say how far equal recordings differ here: a ratio within that is none. Everything runs on one
machine, the browser too.
"""

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.browser.chromium import Windows, running

CLIENTS = 16
WARM_S = 3.0
START_LIMIT_S = 60.0
RUN_LIMIT_MS = 180_000
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Processor time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def browser_s(server: int) -> float:
    """Processor time of the browser: of all descendants of this process but the server and its own."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):  # it has ended this moment
            continue
    found, new = set[int](), {os.getpid()}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new and pid != server}
        found |= new
    return sum(cpu_s(pid) for pid in found)


def rate_without(options: argparse.Namespace) -> float:
    """Decided operations per second of a recording that nobody looks at."""
    what = [f"--strategies={options.control}", f"--database={options.database}"]
    load = [f"--seconds={options.seconds:g}", f"--processes={options.processes}", f"--clients={CLIENTS}"]
    command = [sys.executable, "-m", "stockade", "lab", "record", *what, *load]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r", (\d+)/s;", done.stdout)
    assert found, done.stdout + done.stderr
    return float(found[1])


async def rate_with(page: Any, server: int, options: argparse.Namespace) -> tuple[float, float, float]:
    """The same of a recording that the page shows, and what server and browser take, in percent of a core."""
    await page.select_option("#own select[name=workload]", "recording:order-stream")
    await page.select_option("#own select[name=database]", options.database)
    checked = page.locator("#own input[name=control]:checked")
    while await checked.count():
        await checked.first.uncheck()
    await page.check(f"#own input[value={options.control}]")
    for name, value in (("processes", options.processes), ("clients", CLIENTS), ("seconds", options.seconds)):
        await page.fill(f"#own input[name={name}]", f"{value:g}")
    await page.click("#own-go")
    await page.wait_for_selector("#stop", state="visible", timeout=RUN_LIMIT_MS)
    before, began_s = (cpu_s(server), browser_s(server)), time.monotonic()
    await page.wait_for_selector("#stop", state="hidden", timeout=RUN_LIMIT_MS)
    took_s = time.monotonic() - began_s
    shares = [(now - then) / took_s * 100 for now, then in zip((cpu_s(server), browser_s(server)), before, strict=True)]
    text = await page.inner_text("#earlier tr:first-child td:nth-child(8)")
    return float(text.replace(",", "")), shares[0], shares[1]


async def idle(pid: int, seconds: float) -> float:
    """Percent of a core that the server needs while nothing runs."""
    began, began_s = cpu_s(pid), time.monotonic()
    await asyncio.sleep(seconds)
    return (cpu_s(pid) - began) / (time.monotonic() - began_s) * 100


def print_rates(triples: list[tuple[float, float, float]]) -> None:
    """What the page takes, and how far two recordings differ that nobody looks at.

    Args:
        triples: rates before, shown, and after.
    """
    shown, without = [each[1] for each in triples], [rate for each in triples for rate in (each[0], each[2])]
    print(f"medians: {statistics.median(without):,.0f}/s without, {statistics.median(shown):,.0f}/s shown")
    ratios = {
        "shown / without": [2 * rate / (before + after) for before, rate, after in triples],
        "without / without": [after / before for before, _, after in triples],
    }
    for name, each in ratios.items():
        print(f"{name}: median {statistics.median(each):.3f} ({min(each):.3f} to {max(each):.3f})")
    print(f"all shown / all without: {statistics.mean(shown) / statistics.mean(without):.3f}")


async def measure(url: str, pid: int, options: argparse.Namespace) -> None:
    """Open the page, measure and print."""
    async with running() as browser:
        windows = Windows(browser)
        page = await windows.open()
        await page.goto(url)
        await asyncio.sleep(WARM_S)
        shares = [await idle(pid, options.idle) for _ in range(3)]
        print(f"idle: {statistics.median(shares):.2f} % of a core ({min(shares):.2f} to {max(shares):.2f})")
        triples, costs = [], []
        for number in range(options.pairs):
            before = await asyncio.to_thread(rate_without, options)
            shown, *cost = await rate_with(page, pid, options)
            after = await asyncio.to_thread(rate_without, options)
            costs.append(cost)
            triples.append((before, shown, after))
            ratio = shown / statistics.mean((before, after))
            print(f"{number + 1}: {before:,.0f}/s, shown {shown:,.0f}/s, {after:,.0f}/s: {ratio:.3f}", flush=True)
        print_rates(triples)
        for name, each in zip(("server", "browser"), zip(*costs, strict=True), strict=True):
            middle, least, most = statistics.median(each), min(each), max(each)
            print(f"while shown, {name}: {middle:.1f} % of a core ({least:.1f} to {most:.1f})")
        await windows.close()
        assert not windows.errors, windows.errors


def main() -> None:
    """Start the server, measure, end it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7, help="recordings that are shown, each between two that are not")
    parser.add_argument("--seconds", type=float, default=4.0)
    # with two, SQLite's own waiting for its file decides the rate: equal recordings then differ by half
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--idle", type=float, default=10.0)
    parser.add_argument("--control", default="sequencer")
    parser.add_argument("--database", default="sqlite")
    options = parser.parse_args()
    command = [sys.executable, "-m", "stockade", "lab", "--live", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split()[-1]
            asyncio.run(measure(url, server.pid, options))
        finally:
            server.terminate()
            server.wait(START_LIMIT_S)


if __name__ == "__main__":
    main()
