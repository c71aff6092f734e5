"""Head and body of an answer leave in one write, and nothing else about uvicorn's protocol changes."""

import asyncio

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from stockade.shop.http.server.buffered_protocol import BufferedProtocol, BufferedTransport

HEAD = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}


def body(data, more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


async def turn():
    """Let the event loop do what it has to do."""
    for _ in range(3):
        await asyncio.sleep(0)


class Wire(asyncio.Transport):
    """A transport that keeps what was written."""

    def __init__(self):
        super().__init__()
        self.writes, self.closed = [], False

    def write(self, data):
        if self.closed:
            raise RuntimeError("written after the end")
        if data:  # as real ones, which send nothing for nothing
            self.writes.append(data)

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True


@pytest.fixture
def answer():
    """Function: messages that the application sends, a turn after each None -> the wire."""

    async def run(*messages, protocol=BufferedProtocol, request=b"GET / HTTP/1.1\r\n\r\n"):
        async def app(scope, receive, send):
            for message in messages:
                await (turn() if message is None else send(message))

        state, wire = ServerState(), Wire()
        config = uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_config=None)
        config.load()
        made = protocol(config, state, {}, _loop=asyncio.get_running_loop())
        made.connection_made(wire)
        made.data_received(request)
        await asyncio.gather(*state.tasks)
        made.timeout_keep_alive_handler()
        return wire

    return run


async def test_head_and_body_are_one_write(answer):
    """One write instead of two, with the same bytes; uvicorn's own protocol is the control."""
    one, two = await answer(HEAD, body(b"ok")), await answer(HEAD, body(b"ok"), protocol=HttpToolsProtocol)
    assert (len(one.writes), len(two.writes)) == (1, 2)
    assert one.writes[0] == b"".join(two.writes)


async def test_an_answer_without_a_body_leaves(answer):
    """HEAD and 204 write nothing after the head, which goes all the same."""
    empty = {"type": "http.response.start", "status": 204, "headers": []}
    asked = await answer(HEAD, body(b"ok"), request=b"HEAD / HTTP/1.1\r\n\r\n")
    assert asked.writes == [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"]
    assert (await answer(empty, body(b""))).writes == [b"HTTP/1.1 204 No Content\r\n\r\n"]


async def test_nothing_is_held_for_longer_than_a_turn(answer):
    """A head whose body takes its time, and each part of a slow body, are on the wire before the next is made."""
    wire = await answer(HEAD, None, body(b"o", more=True), None, body(b"k"))
    assert wire.writes == [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", b"o", b"k"]


async def test_what_is_held_is_written_before_the_close(answer):
    """A client that asks for the end of the connection gets the whole answer first."""
    wire = await answer(HEAD, body(b"ok"), request=b"HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert wire.closed
    assert b"".join(wire.writes).startswith(b"HTTP/1.1 200 OK\r\n")
    refused = await answer(request=b"nonsense\r\n\r\n")
    assert refused.closed
    assert b"".join(refused.writes).startswith(b"HTTP/1.1 400 ")


async def test_a_client_that_is_gone_gets_nothing():
    """What is held when the connection ends is dropped, without an error in the event loop."""
    loop, errors = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: errors.append(context))
    wire = Wire()
    through = BufferedTransport(wire, loop)
    through.write(b"held")
    wire.close()
    await turn()
    assert (wire.writes, errors) == ([], [])
