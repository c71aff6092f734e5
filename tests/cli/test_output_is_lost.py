"""Nobody reads what the service writes: a pipe that is closed or full costs log lines, and nothing else."""

import asyncio
import contextlib
import fcntl
import os
import subprocess
import sys
from errno import EACCES
from pathlib import Path
from unittest.mock import Mock

import httpx2
import pytest

import stockade.__main__ as program
from stockade.cli.exit_codes import FAILED
from stockade.shop.config.settings import Settings
from stockade.shop.http.server.sockets import bind
from tests.cli.service import STOP_LIMIT_S, environment, token
from tests.cli.test_serve import place
from tests.cli.warm_start import warm_start
from tests.waiting import eventually_async

PIPE_BYTES = 4096


def fill(fd):
    """Until a writer would wait."""
    os.set_blocking(fd, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(fd, b"x" * PIPE_BYTES)
    os.set_blocking(fd, True)


@contextlib.contextmanager
def serving(folder, port, **streams):
    """A service whose output goes where the test says."""
    process = warm_start(("serve", "--port", port, "--set", "access_log=1"), cwd=folder, env=environment(), **streams)
    try:
        yield process
    finally:
        process.kill()
        process.wait(STOP_LIMIT_S)


@pytest.mark.parametrize("which", ["closed", "full"])
async def test_orders_go_on(which, tmp_path):
    """The service gets ready, answers each request, with its access log on, and stops in order: without a reader of
    either stream, and with one that never reads."""
    (reading, writing), (log_reading, log_writing) = os.pipe(), os.pipe()
    for fd in (writing, log_writing):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    if which == "closed":
        os.close(reading)
        os.close(log_reading)
    else:
        fill(log_writing)
    with bind(Settings(port=0)) as free:
        port = free.getsockname()[1]
    with serving(tmp_path, port, stdout=writing, stderr=log_writing) as process:
        os.close(writing)
        os.close(log_writing)
        headers = {"Authorization": f"Bearer {token('user-1')}"}
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=10) as client:

            async def ready():
                with contextlib.suppress(httpx2.HTTPError):
                    return (await client.get("/readyz")).status_code == 200

            await eventually_async(ready, 30)
            for number in range(30):
                assert (await place(client, number)).status_code == 404  # there is no such SKU
        process.terminate()
        assert await asyncio.to_thread(process.wait, STOP_LIMIT_S) == 0
    if which == "full":
        os.close(reading)
        os.close(log_reading)


def test_a_full_disk(tmp_path):
    """A command whose output cannot be written says so in one line."""
    command = [sys.executable, "-m", "stockade", "token", "ann"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr


def test_an_error_of_the_system_names_its_file(monkeypatch, capsys):
    """One line with what the system said and of which file; nothing where it said none (control)."""
    for file, said in (("/secret", "error: Permission denied: /secret\n"), (None, "error: Permission denied\n")):
        monkeypatch.setattr(program, "_run", Mock(side_effect=PermissionError(EACCES, "Permission denied", file)))
        with pytest.raises(SystemExit) as ended:
            program.main()
        assert (ended.value.code, capsys.readouterr().err) == (FAILED, said)
