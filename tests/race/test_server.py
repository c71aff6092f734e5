"""The server that a scenario starts: ready, ended in every case, and its last lines where it does not start."""

import asyncio
import os
import socket
import sys
from pathlib import Path
from unittest.mock import patch

import msgspec
import pytest

from stockade.race import Fire, RaceError, Request, Server, SetUp, Target, load, run
from stockade.race.http.address import find, listening
from tests.race.services import http, scenario, service
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


async def test_a_server_and_a_command_have_the_environment_of_the_test(tmp_path):
    """What a test gives reaches both; what the scenario says itself comes first."""
    race, log = started(tmp_path, env={})
    step = SetUp(command=["{python}", "-c", f"import os; open({str(log)!r}, 'a').write(os.environ['SHOP'] + '!')"])
    race = msgspec.structs.replace(race, setup=[step], race=Fire(buyers=2, rounds=1))
    assert (await run(load(race, {"SHOP": "given"}))).passed
    assert log.read_text().endswith(" given\ngiven!")


async def test_a_server_that_fails_is_quoted(tmp_path):
    """The line has the status and what the server printed; a refusal is not its failure (control)."""
    for status, quoted in ((500, True), (404, False)):
        code = HTTP.replace("self.send_response(201)", f"print('no table', flush=True); self.send_response({status})")
        race, _ = started(tmp_path, command=["{python}", "-c", code, "{port}", str(tmp_path / "log")])
        race = msgspec.structs.replace(race, setup=[SetUp(request=Request(path="/stock", body="x"))])
        with pytest.raises(RaceError, match=f"gave {status}") as refused:
            await run(load(race))
        assert ("the last lines of the server: " in str(refused.value) and "no table" in str(refused.value)) == quoted


@pytest.mark.parametrize("status", [401, 403])
async def test_a_token_of_another_folder_is_explained(status):
    """A shop that runs already refuses a token of another secret: the line says what to do; not for 403 (control)."""
    token = SetUp(command=["{python}", "-c", "print('t')", "stockade", "token"], save_output="token")
    async with service(lambda head, body: http(status)) as shop:
        with pytest.raises(RaceError, match=rf"setup\[1\].* gave {status}") as refused:
            await run(load(scenario(shop.url, setup=[token, SetUp(request=Request(path="/products"))])))
    assert ("in the folder in which `stockade serve` was started" in str(refused.value)) == (status == 401)


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


LEAVES = """
import os, signal, subprocess, sys, time
end = time.monotonic() + 30
child = subprocess.Popen(["sh", "-c", "trap '' TERM; echo $$ >> " + sys.argv[1] + "; sleep 600; sleep 600"])
while not os.path.exists(sys.argv[1]) or not open(sys.argv[1]).read().endswith("\\n"): assert time.monotonic() < end
"""


async def test_processes_that_a_server_leaves_behind_end(tmp_path):
    """A child of the server that ignores SIGTERM is gone when the race is over, also when the server has gone first."""
    race, log = started(tmp_path)
    command = [*race.server.command[:2], LEAVES.replace("sys.argv[1]", "sys.argv[2] + '.child'") + HTTP]
    race = msgspec.structs.replace(
        race, server=msgspec.structs.replace(race.server, command=[*command, *race.server.command[3:]])
    )
    assert (await run(load(race))).passed
    child = int(Path(f"{log}.child").read_text().split()[0])
    eventually(lambda: not is_there(child))  # the kernel ends it after the signal


@pytest.mark.parametrize("ends", [True, False])
async def test_processes_of_a_command_of_the_set_up_end(tmp_path, ends):
    """Those that it has started end too: when it is over, and when it took too long."""
    file = tmp_path / "child"
    more = "" if ends else "import time; time.sleep(600)"
    quiet = LEAVES.replace('sleep 600"]', 'sleep 600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL')
    step = SetUp(command=["{python}", "-c", quiet + more, str(file)])
    async with service() as shop:
        race = run(load(scenario(shop.url, setup=[step], race={"timeout_s": 20.0 if ends else 2.0})))
        if ends:
            assert (await race).passed
        else:
            with pytest.raises(RaceError, match=r"setup\[0\]: .* did not end in time"):
                await race
    eventually(lambda: not is_there(int(file.read_text().split()[0])))


async def test_a_prepare_that_never_ends_is_given_up():
    """A coroutine function of the scenario has the time limit of every step; its own TimeoutError stays its own."""

    async def never(variables):
        await asyncio.Event().wait()

    async def own(variables):
        raise TimeoutError("of my own")

    async with service() as shop:
        for prepare, says in ((never, "prepare: took more than 0.2 s"), (own, "prepare: TimeoutError: of my own")):
            with pytest.raises(RaceError, match=says):
                await run(load(scenario(shop.url, prepare=prepare, race={"timeout_s": 0.2})))


HANDS_OVER = """
import select
first = os.pidfd_open(os.getpid())
if os.fork(): sys.exit()
assert select.select([first], [], [], 60)[0]  # only when the first process has ended does this one listen
http.server.ThreadingHTTPServer"""


@pytest.mark.parametrize("ends", [True, False])
async def test_a_server_that_has_ended_is_not_raced(tmp_path, ends):
    """When the program of the scenario has ended, whatever answers is another one: there is no verdict."""
    race, _ = started(tmp_path)
    code = HTTP.replace("http.server.ThreadingHTTPServer", HANDS_OVER) if ends else HTTP
    command = [*race.server.command[:2], code, *race.server.command[3:]]
    raced = run(load(msgspec.structs.replace(race, server=msgspec.structs.replace(race.server, command=command))))
    if ends:
        with pytest.raises(RaceError, match=r"server\.command ended with 0"):
            await raced
    else:
        assert (await raced).passed


async def test_the_address_of_a_name_that_answers_is_raced(tmp_path):
    """`localhost` is ::1 first on many machines; a server on 127.0.0.1 alone is found."""
    none = (socket.AF_INET, ("127.0.0.1", 1))

    async def looked_up(*args, **named):
        return [(*none[:1], 0, 0, "", none[1]), (socket.AF_INET, 0, 0, "", ("127.0.0.1", port))]

    loop = asyncio.get_running_loop()
    async with service() as shop:
        port = int(shop.url.rpartition(":")[2])
        with patch.object(loop, "getaddrinfo", looked_up):
            assert (await run(load(scenario(f"http://localhost:{port}")))).passed
            found = await listening(await find(f"http://localhost:{port}", mine=False))
            assert found.place == ("127.0.0.1", port)
            closed = await find(f"http://localhost:{port}", mine=False)
    assert await listening(closed) is None


def is_there(pid):
    """Whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


assert is_there(os.getpid())
