"""A real `stockade serve` in processes of its own, the command line as users call it, and databases to serve.

A cold start of the program takes over a second of processor time, so processes are forked from one that has imported it
(`warm_start.py`). A test that needs no process of its own uses `here`, `opened` and `refusal`, which do in this process
what the commands do.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from subprocess import CompletedProcess

import httpx2
import pytest
from typer.testing import CliRunner

from stockade.cli import app
from stockade.shop.audit import audit, summary
from stockade.shop.bootstrap import open_shop
from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.demo import create_demo
from stockade.shop.migrations import SCHEMA
from stockade.shop.tokens import TokenIssuer
from stockade.store import Database
from tests.cli.warm_start import warm_start
from tests.databases import CREATED

READY_LIMIT_S = 60
STOP_LIMIT_S = 30
SECRET = "a secret that only tests use"


def environment(**settings):
    """The environment without settings of the machine's own, with the given ones."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STOCKADE_")}
    given = {"token_secret": SECRET, **settings}
    return {**kept, **{f"STOCKADE_{name.upper()}": str(value) for name, value in given.items()}}


def stockade(folder, *words, **settings):
    """Run the command line to its end in a folder."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        streams = {"stdout": out.fileno(), "stderr": err.fileno()}
        process = warm_start(words, cwd=folder, env=environment(**settings), **streams)
        try:
            code = process.wait(READY_LIMIT_S)
        finally:
            process.kill()
            process.wait(STOP_LIMIT_S)
        out.seek(0)
        err.seek(0)
        return CompletedProcess(words, code, out.read(), err.read())


async def here(*words):
    """Run a command that sets up no logging to its end, in this process: on a thread, it has a loop of its own."""
    done = await asyncio.to_thread(CliRunner().invoke, app, [str(word) for word in words])
    return CompletedProcess(words, done.exit_code, done.stdout, done.stderr)


def opened(url, strategy="sequencer", **settings):
    """A shop under one strategy, opened in this process and registered as `serve` does."""
    chosen = Settings(database=url, strategy_stock=strategy, strategy_points=strategy, **settings)
    return open_shop(chosen, jobs=False)


async def refusal(url, strategy="sequencer", **settings):
    """Why a shop with these settings is not opened; `serve` prints it."""
    with pytest.raises(BadSetting) as refused:
        async with opened(url, strategy, **settings):
            pass
    return str(refused.value)


async def prepared(url, **figures):
    """Migrate a database and fill it with demo data."""
    await CREATED.migrate(url, SCHEMA)
    async with open_shop(Settings(database=url), jobs=False) as shop:
        await create_demo(shop.execute, **figures, now_ms=time.time_ns() // 1_000_000)


async def audited(url):
    """The figures of a database and what is wrong with it."""
    database = await Database.open(url)
    try:
        return await database.read(lambda conn: (summary(conn), audit(conn)), timeout_s=30)
    finally:
        await database.close()


def token(user, admin=False):
    """A token that the service of these tests takes."""
    return TokenIssuer(SECRET.encode()).issue(user, valid_s=3600, admin=admin)


def _warm(words, log, where):
    """A process with a pipe for its output."""
    reading, writing = os.pipe()
    output = os.fdopen(reading)
    with os.fdopen(writing, "wb") as theirs:
        try:
            process = warm_start(words, stdout=theirs.fileno(), stderr=log.fileno(), **where)
        except BaseException:
            output.close()
            raise
    process.stdout = output
    return process


class Service:
    """A served shop, ready to be spoken to.

    Args:
        folder: its working directory.
        words: further options of `serve`.
        may_wait: whether it may be listening and not ready.
        program: what Python runs, in a process that begins cold; None: the program as it is.
        settings: of its environment.

    Attributes:
        url: where it answers.
        process: of `stockade serve`.
        log: what it wrote to standard error.
    """

    def __init__(self, folder, *words, may_wait=False, program=None, **settings):
        self.may_wait = may_wait
        self.log = folder / "serve.log"
        words = ("serve", "--port", "0", *map(str, words))
        where = {"cwd": folder, "env": environment(**settings)}
        with self.log.open("w") as log:
            if program is None:
                self.process = _warm(words, log, where)
            else:
                command = [sys.executable, *program, *words]
                self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, **where)
        self.url = None

    def __enter__(self):
        line = self.process.stdout.readline()
        if line.startswith("listening on http://") and not self.may_wait:  # the machine is slow
            line = self.process.stdout.readline()
        if not line.startswith(("ready on http://", "listening on http://")):
            self.__exit__()
            raise AssertionError(f"not ready: {line!r} {self.log.read_text()}")
        self.url = line.partition(" on ")[2].partition(",")[0].strip()
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STOP_LIMIT_S)
        self.process.stdout.close()

    def stop(self, with_signal=signal.SIGTERM):
        """Ask it to stop, wait, and return its exit code."""
        self.process.send_signal(with_signal)
        return self.process.wait(STOP_LIMIT_S)

    def client(self, user=None, **options):
        """An HTTP client, as a user or as nobody."""
        headers = {"Authorization": f"Bearer {token(user)}"} if user else {}
        return httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=30, **options)
