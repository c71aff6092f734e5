"""A server of the live page in the test's own event loop, and a client of it."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit

import httpx2

from stockade.lab.live.pictures import Pictures
from stockade.lab.live.server import serve

LIMIT_S = 30.0
QUICK = {"kind": "burst", "workload": "reference", "controls": ["unprotected"], "rounds": 1}


class Client:
    """Talks to one server as a page does."""

    def __init__(self, serving, http):
        self.serving, self.http = serving, http
        self.url = serving.url
        self.token = urlsplit(serving.url).path.strip("/")

    @property
    def headers(self):
        return {"x-stockade-token": self.token}

    async def post(self, path, body=None, **headers):
        """A change; headers replace those of a page."""
        sent = {name: value for name, value in {**self.headers, **headers}.items() if value is not None}
        return await self.http.post(self.url + path, json={} if body is None else body, headers=sent)

    @asynccontextmanager
    async def events(self, last=None):
        """Function that waits for the next event: its id, its kind, its data."""
        headers = {} if last is None else {"last-event-id": str(last)}
        async with self.http.stream("GET", self.url + "events", headers=headers) as answer:
            answer.raise_for_status()
            lines = answer.aiter_lines()

            async def following():
                found = {}
                async with asyncio.timeout(LIMIT_S):
                    async for line in lines:
                        name, _, value = line.partition(": ")
                        if not line and "data" in found:
                            return int(found["id"]), found["event"], json.loads(found["data"])
                        found[name] = value
                raise EOFError

            yield following

    async def until(self, following, wanted):
        """Events up to the first that `wanted(kind, data)` says yes to."""
        seen = []
        while not seen or not wanted(*seen[-1][1:]):
            seen.append(await following())
        return seen


@asynccontextmanager
async def live_page(*, warm=False):
    """A server on a free port, and a client; the server ends with the context.

    What draws is started by the first picture, not by the first page, unless it is to be warm: it takes a second.
    """
    if not warm:
        with patch.object(Pictures, "warm"):
            async with live_page(warm=True) as client:
                yield client
        return
    begun = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve("127.0.0.1", 0, begun.set_result, signals=False))
    await asyncio.wait([task, begun], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    serving = begun.result()
    try:
        async with httpx2.AsyncClient(timeout=LIMIT_S, limits=httpx2.Limits(max_connections=40)) as http:
            yield Client(serving, http)
    finally:
        serving.stop()
        await asyncio.wait_for(task, LIMIT_S)


def processes_of(session=None, *, parent=None):
    """Ids of the processes in the session that this one leads, or of this parent; zombies are left out."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, its_parent, _group, its_session = stat.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z" and (int(its_session) == session if parent is None else int(its_parent) == parent):
            found.append(int(stat.parent.name))
    return found
