"""The live page's server without a browser: who may talk to it, and that runs begin, move, stop and end with it."""

import asyncio
import os
import signal
import socket
from urllib.parse import urlsplit

import pytest

from stockade.lab.errors import LabError
from stockade.lab.live.app import MOST_PAGES, STATIC
from stockade.lab.live.security import MOST_BODY
from stockade.lab.live.server import bind
from tests.lab.live.serving import LIMIT_S, QUICK, live_page, processes_of
from tests.waiting import eventually_async

LONG = {"kind": "recording", "workload": "order-stream", "controls": ["pessimistic"], "seconds": 100, "processes": 1}


async def test_only_who_knows_the_address_gets_in():
    """A wrong token, a foreign name, another site, a missing header, a large body: each is refused unread."""
    async with live_page() as client:
        good = await client.http.get(client.url)
        assert good.status_code == 200
        policy = good.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "access-control-allow-origin" not in good.headers
        without = client.url.removesuffix("/")
        moved = await client.http.get(without)
        assert moved.headers["location"] == f"/{client.token}/"
        wrong = client.url.replace(client.token, client.token[::-1])
        assert (await client.http.get(wrong)).status_code == 404
        assert (await client.http.get(client.url, headers={"host": "evil.example"})).status_code == 421
        assert (await client.http.get(client.url, headers={"host": "localhost:1234"})).status_code == 200
        assert (await client.http.get(client.url, headers={"host": "[::1]:1234"})).status_code == 200
        assert (await client.http.put(client.url)).status_code == 405
        answers = {
            "no header": await client.post("run", QUICK, **{"x-stockade-token": None}),
            "wrong header": await client.post("run", QUICK, **{"x-stockade-token": "x"}),
            "another site": await client.post("run", QUICK, origin="http://evil.example"),
            "large": await client.post("run", {"kind": "x" * MOST_BODY}),
        }
        assert {name: answer.status_code for name, answer in answers.items()} == {
            "no header": 403,
            "wrong header": 403,
            "another site": 403,
            "large": 413,
        }
        assert not client.serving.session.runs


async def raw_status(client, path):
    """Status of a path that is sent as it is: HTTP clients remove `..` from it."""
    to = urlsplit(client.url)
    async with asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection(to.hostname, to.port)
        writer.write(f"GET {to.path}{path} HTTP/1.1\r\nhost: {to.netloc}\r\nconnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
    return int(answer.split()[1])


async def test_only_the_files_of_the_page_are_served():
    """No path leads out of their folder, however it is written."""
    assert (STATIC / "../app.py").exists()
    assert (STATIC / "../../../../../pyproject.toml").exists()
    async with live_page() as client:
        assert await raw_status(client, "static/live.css") == 200
        assert await raw_status(client, "static/live%2Ecss") == 200
        for climb in ("..", "%2e%2e", ".%2E"):
            for slash in ("/", "%2f", "%2F", "\\", "%5c"):
                assert await raw_status(client, f"static/{climb}{slash}app.py") == 404, (climb, slash)
                assert await raw_status(client, f"static/{slash.join([climb] * 5)}{slash}pyproject.toml") == 404
        assert await raw_status(client, f"static/{STATIC.parent}/app.py") == 404
        assert await raw_status(client, f"static//{STATIC.parent}/app.py".replace("/", "%2f")) == 404


async def test_a_run_moves_and_is_compared():
    """Its events are points and a verdict; one at a time; a bad plan is one line; the pictures are there."""
    async with live_page() as client, client.events() as following:
        assert (await following())[1:] == ("state", {"runs": []})
        refused = await client.post("run", {**QUICK, "buyers": 0})
        assert (refused.status_code, refused.json()["error"]) == (
            400,
            "buyers must be a whole number from 1 to 1,000",
        )
        assert (await client.post("run", QUICK)).status_code == 202
        assert (await client.post("run", QUICK)).status_code == 409
        seen = await client.until(following, lambda kind, data: kind == "run" and data["state"] != "running")
        received = [data for _, kind, data in seen if kind == "told"]
        points = [point for data in received if data["event"] == "points" for point in data["points"]]
        assert [point["accepted"] for point in points] == [30] * 3  # oversold each time: the control fails
        (verdict,) = [data for data in received if data["event"] == "verdict"]
        assert (verdict["verdict"], verdict["kept"], verdict["must_fail"]) == ("broken", True, True)
        assert seen[-1][2]["state"] == "ended"
        for path in ("chart/1/accepted.svg", "compare.svg"):
            drawn = await client.http.get(f"{client.url}{path}?width=320&lang=ko")
            assert drawn.text.startswith("<svg"), drawn.text
            assert "style=" not in drawn.text
        assert (await client.http.get(client.url + "chart/1/nothing.svg")).status_code == 400
        assert (await client.http.get(client.url + "chart/9/accepted.svg")).status_code == 404


def no_processes_of(session):
    """Whether all of them are gone: they are killed, and only the first of them is a child that can be waited for."""

    async def gone():
        return processes_of(session) == []

    return gone


async def test_a_run_is_stopped_with_all_its_processes():
    """Stop answers when nothing of the run is left."""
    async with live_page() as client, client.events() as following:
        await client.post("run", LONG)
        await client.until(following, lambda kind, data: kind == "told" and data["event"] == "points")
        first = client.serving.session.run_pid
        assert len(processes_of(first)) > 1, "the run has a service process"
        assert (await client.post("stop")).json() == {}
        await eventually_async(no_processes_of(first))
        last = await client.until(following, lambda kind, data: kind == "run" and data["state"] != "running")
        assert last[-1][2]["state"] == "stopped"


async def test_a_run_whose_process_dies_is_said():
    """It has failed, with the reason, and the next one can begin."""
    async with live_page() as client, client.events() as following:
        await client.post("run", LONG)
        await client.until(following, lambda kind, data: kind == "told")
        os.kill(client.serving.session.run_pid, signal.SIGKILL)
        last = await client.until(following, lambda kind, data: kind == "run" and data["state"] != "running")
        assert last[-1][2]["state"] == "failed"
        assert last[-1][2]["error"].startswith("the process ended with -9")
        await eventually_async(no_processes_of(client.serving.session.run_pid))
        assert (await client.post("run", {**QUICK, "buyers": "many"})).status_code == 400


async def test_pages_have_a_bound():
    """One more than the most is refused, and let in when another has gone."""
    async with live_page() as client:
        streams = [client.events() for _ in range(MOST_PAGES)]
        for stream in streams:
            await (await stream.__aenter__())()
        refused = await client.http.get(client.url + "events")
        assert (refused.status_code, refused.text) == (503, f"{MOST_PAGES} pages listen already: close one\n")
        await streams.pop().__aexit__(None, None, None)

        async def has_place():
            return client.serving.session.feed.pages < MOST_PAGES

        await eventually_async(has_place)
        async with client.events() as following:
            assert (await following())[1] == "state"
        for stream in streams:
            await stream.__aexit__(None, None, None)


async def test_a_race_in_slow_motion_is_stepped():
    """Both buyers read before either writes, and both are told yes; a stale page is told so."""
    async with live_page() as client:
        state = (await client.post("slow", {"control": "unprotected", "database": "sqlite"})).json()
        stale = await client.post("slow/step", {"id": "0" * 16, "who": "A"})
        assert stale.status_code == 409
        wrong = await client.post("slow/step", {"id": state["id"], "who": "C"})
        assert "C cannot go on now" in wrong.json()["error"]
        while state["next"]:
            state = (await client.post("slow/step", {"id": state["id"], "who": state["next"]})).json()
        assert [buyer["answer"] for buyer in state["buyers"].values()] == ["ACCEPTED", "ACCEPTED"]
        assert state["violations"][0]["detail"] == "2 accepted, only 1 there"
        assert (await client.post("slow", {"control": "nothing", "database": "sqlite"})).status_code == 400


def test_a_port_that_is_taken_is_said():
    """One line that says what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(LabError, match="--port 0 takes a free one"):
            bind("127.0.0.1", taken.getsockname()[1])
