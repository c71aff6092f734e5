"""The server that a scenario starts: ready, ended in every case, and its last lines where it does not start."""

import asyncio
import os
import sys
from pathlib import Path

import msgspec
import pytest

from stockade.race import RaceError, Server, Target, load, run
from tests.race.services import scenario, service
from tests.waiting import eventually

HTTP = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"{}")
open(sys.argv[2], "a").write(f"{os.getpid()} {os.getcwd()} {os.environ['SHOP']}\\n")
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def started(tmp_path, **server):
    """A race whose server writes its process, folder and a variable into a file; and that file."""
    parts = {"command": ["{python}", "-c", HTTP, "{port}", str(tmp_path / "log")], "env": {"SHOP": "s-{run}"}, **server}
    return scenario("", target=Target(), server=Server(**parts), race={"rounds": 2}), tmp_path / "log"


@pytest.mark.parametrize("each_round", [False, True])
async def test_a_server_starts_in_a_fresh_folder_and_ends(tmp_path, each_round):
    """One for the race, or one for each round; afterwards neither process nor folder is there."""
    race, log = started(tmp_path, each_round=each_round)
    assert (await run(load(race))).passed
    lines = [line.split() for line in log.read_text().splitlines()]
    assert len(lines) == (2 if each_round else 1)
    assert all(not is_there(int(pid)) and not Path(folder).exists() for pid, folder, _ in lines)
    assert all(shop.startswith("s-") for *_, shop in lines)


async def test_a_cancelled_race_ends_its_server(tmp_path):
    """Ctrl-C and SIGTERM cancel the race."""
    race, log = started(tmp_path)
    reached = asyncio.Event()
    task = asyncio.create_task(run(load(race), on_start=lambda url: reached.set()))
    await asyncio.wait_for(reached.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_there(int(log.read_text().split()[0]))


async def test_a_server_of_a_killed_race_ends(tmp_path):
    """The kernel ends the server when its race was killed."""
    _, log = started(tmp_path)
    file = tmp_path / "race_it.py"
    file.write_text(
        "import os, signal\nfrom stockade.race import *\n"
        f"HTTP = {HTTP!r}\n"
        f"SERVER = Server(command=['{{python}}', '-c', HTTP, '{{port}}', {str(log)!r}], env={{'SHOP': 'x'}})\n"
        "def prepare(variables): os.kill(os.getpid(), signal.SIGKILL)\n"
        "SCENARIO = Scenario(name='killed', server=SERVER, requests=[Request(path='/')], prepare=prepare,\n"
        "    invariants={'x': 'sent = 1'})\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}  # nobody removes the folder of a race that was killed
    words = [sys.executable, "-m", "stockade", "race", str(file)]
    process = await asyncio.create_subprocess_exec(*words, env=environment)
    assert await asyncio.wait_for(process.wait(), 60) == -9
    eventually(lambda: not is_there(int(log.read_text().split()[0])))


WRONG = {
    "ends": (["{python}", "-c", "raise SystemExit('no settings')"], "server.command ended with 1: no settings"),
    "no program": (["no-such-program"], "server.command: there is no program no-such-program"),
    "silent": (["{python}", "-c", "import time; print('up', flush=True); time.sleep(60)"], r"within 0.3 s: "),
}


@pytest.mark.parametrize(("command", "says"), WRONG.values(), ids=WRONG)
async def test_a_server_that_does_not_start_is_one_line(command, says):
    """The line has the end of its output."""
    server = Server(command=command, wait_s=0.3 if "time" in command[-1] else 30.0)
    with pytest.raises(RaceError, match=says):
        await run(load(scenario("", target=Target(), server=server)))


async def test_another_service_is_not_raced_instead(tmp_path):
    """Where the port is taken, nothing is started and nothing is sent."""
    async with service() as other:
        race, log = started(tmp_path)
        fixed = msgspec.structs.replace(race, target=Target(url=other.url))
        with pytest.raises(RaceError, match="answers before the server is started"):
            await run(load(fixed))
        assert not log.exists()
    assert not other.heads


def is_there(pid):
    """Whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


assert is_there(os.getpid())
