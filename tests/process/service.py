"""A real `stockade serve`, as a user starts it, and an HTTP client outside of it."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.waiting import eventually

CALLERS = 500


class Service:
    """One running service and its state folder."""

    def __init__(self, database, state, *options):
        self.database = database
        self.environment = {**os.environ, "STOCKADE_STATE": str(state), "STOCKADE_TOKEN_SECRET": "0123456789abcdef" * 4}
        self.log = (state / "serve.log").open("wb")
        self.process = self._spawn("serve", "--database", database, "--port", "0", *options)
        self.url = ""

    def _spawn(self, *words):
        command = [sys.executable, "-m", "stockade", *words]
        return subprocess.Popen(command, env=self.environment, stdout=self.log, stderr=self.log, start_new_session=True)

    def run(self, *words, expect=0):
        """Another command of the same installation; what it printed."""
        command = [sys.executable, "-m", "stockade", *words]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    def wait_ready(self):
        """Until it says where it listens."""

        def address():
            text = Path(self.log.name).read_text(errors="replace")
            assert self.process.poll() is None, text
            return re.search(r"ready on (http://\S+)", text)

        self.url = eventually(address, 30)[1]
        return self

    def workers(self):
        """Pids of the worker processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def token(self, user, *options):
        """A development token."""
        return self.run("token", user, *options).strip()

    def audit(self):
        """The audit's document; it must find nothing."""
        return json.loads(self.run("audit", "--database", self.database, "--json"))

    def stop(self):
        """Ask, then insist."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            finally:
                if self.process.poll() is None:
                    os.killpg(self.process.pid, signal.SIGKILL)
        self.log.close()


@contextmanager
def serving(database, state, *options):
    """A migrated database and a service on it, stopped at the end."""
    migrate = [sys.executable, "-m", "stockade", "migrate", "--database", database]
    subprocess.run(migrate, check=True, capture_output=True, timeout=60)
    service = Service(database, state, *options)
    try:
        yield service.wait_ready()
    finally:
        service.stop()


def client(service, token, *, connections=CALLERS):
    """An HTTP client with one connection for each caller."""
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.AsyncClient(base_url=service.url, headers=headers, limits=limits, timeout=30)


async def product(http, stock, price=1000):
    """A product with one SKU; the SKU's id."""
    body = {"name": "lamp", "category": "light", "skus": [{"price": price, "stock": stock}]}
    answer = await http.post("/v1/products", json=body, headers={"Idempotency-Key": "product"})
    assert answer.status_code == 201, answer.text
    return answer.json()["skus"][0]["id"]


def order(sku, number):
    """The arguments of one order request."""
    return {
        "json": {"lines": [{"sku_id": sku, "quantity": 1}], "pay": "LATER"},
        "headers": {"Idempotency-Key": f"order-{number}"},
    }
