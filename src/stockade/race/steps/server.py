"""Starts the server of a scenario and ends it: it never outlives this process.

Neighbours: `devservers.child` prepares the process; `stockade.race.runner` calls this once, or once for each round.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from stockade.devservers import child
from stockade.devservers.launch import OPEN_FILES
from stockade.devservers.workdir import OwnedFolder
from stockade.race.errors import RaceError
from stockade.race.http.address import Address, listening
from stockade.race.http.connection import Message, exchange
from stockade.race.model.placeholders import fill
from stockade.race.model.scenario import Server

HOST = "127.0.0.1"
END_WAIT_S = 10.0  # between SIGTERM and SIGKILL
_POLL_S = 0.05
_LOG_LINES = 12
_LOG_NAME = "server.log"
_FAILED = re.compile(r" gave 5\d\d: ")  # as the set-up, the reads and the verdict say it


@asynccontextmanager
async def running(
    server: Server, address: Address, variables: Mapping[str, Any], environment: Mapping[str, str]
) -> AsyncIterator[Address]:
    """Start the server, wait until it answers, and end it in the end; where it answers.

    Args:
        server: what to start.
        address: where it will answer.
        variables: for its placeholders, with `folder`, where it starts.
        environment: variables beside those of this process.

    Raises:
        RaceError: it did not start, does not answer in time, or had ended before the end; the message has the end of
            its output. Or something else answers there already, which would be raced instead.
            A race that ended because the server failed (a status of 500 or more) has the end of its output too.
    """
    if await listening(address):
        raise RaceError(f"{address.url} answers before the server is started: end that process, or use {{port}}")
    folder = Path(str(variables["folder"]))
    process = _start(server, folder, variables, environment)
    try:
        yield await _ready(server, address, process, folder / _LOG_NAME)
        _refuse_an_ended(process, folder / _LOG_NAME)  # what answered was not this server, or not to the end
    except RaceError as error:
        if _FAILED.search(str(error)):
            said = _last_lines(folder / _LOG_NAME)
            raise RaceError(f"{error}; the last lines of the server: {said}") from None
        raise
    finally:
        await asyncio.shield(_end(process))


@asynccontextmanager
async def fresh_folder() -> AsyncIterator[Path]:
    """An empty folder that is removed in the end."""
    folder = await asyncio.to_thread(OwnedFolder, "race")
    try:
        yield folder.path
    finally:
        await asyncio.to_thread(folder.close)


def _start(
    server: Server, folder: Path, variables: Mapping[str, Any], more: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    program, *arguments = fill(server.command, variables)
    environment = {**os.environ, **more, **fill(server.env, variables)}
    found = shutil.which(program, path=environment.get("PATH"))
    if not found:
        raise RaceError(f"server.command: there is no program {program}")
    with (folder / _LOG_NAME).open("ab") as log:
        return subprocess.Popen(
            [*tied_to_this_process(found, program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
            start_new_session=True,  # Ctrl-C ends this process, which ends the server
        )


def tied_to_this_process(path: str, name: str) -> list[str]:
    """Words in front of the arguments of a program that ends with this process, also when that is killed.

    Args:
        path: of its file.
        name: its argv[0].
    """
    task = {
        "uid": None,
        "gid": 0,
        "parent": os.getpid(),
        "death_signal": signal.SIGTERM,
        "open_files": OPEN_FILES,
    }
    return [sys.executable, "-I", "-S", str(child.__file__), json.dumps(task), path, name]


async def _ready(server: Server, address: Address, process: subprocess.Popen[bytes], log: Path) -> Address:
    """Wait until it answers; where it does.

    Raises:
        RaceError: it ended, or the time is over.
    """
    try:
        async with asyncio.timeout(server.wait_s):
            while not (found := await _answering(server.ready, address)):
                _refuse_an_ended(process, log)
                await asyncio.sleep(_POLL_S)
        _refuse_an_ended(process, log)
        return found
    except TimeoutError:
        said = _last_lines(log)
        raise RaceError(f"the server does not answer at {address.url} within {server.wait_s:g} s: {said}") from None


def _refuse_an_ended(process: subprocess.Popen[bytes], log: Path) -> None:
    if process.poll() is not None:
        raise RaceError(f"server.command ended with {process.returncode}: {_last_lines(log)}")


async def _answering(path: str, address: Address) -> Address | None:
    found = await listening(address)
    if not path or not found:
        return found
    try:
        return found if (await exchange(found, Message("GET", path), timeout_s=END_WAIT_S)).status < 500 else None
    except RaceError:  # it does not listen yet, which is what this function is asked
        return None


async def _end(process: subprocess.Popen[bytes]) -> None:
    """End it in order, and after END_WAIT_S, or when it has gone without its own processes, by SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):  # nobody is left
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):  # the next signal asks nobody
            await asyncio.to_thread(process.wait, END_WAIT_S)


def _last_lines(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")[-_LOG_LINES:]
    return " | ".join(line.strip() for line in lines if line.strip()) or "it printed nothing"
