"""A full service refuses in short what it would refuse at length, and nothing else."""

import asyncio
import random
import re
import socket

import h11
import pytest
import uvicorn
from uvicorn.server import ServerState

from affectus.server.connection import Connection
from affectus.server.counters import Counters
from affectus.server.gate import Gate
from affectus.server.settings import Settings
from affectus.server.shedding import read_head

HOST = b"Host: 127.0.0.1:8765"


def ask(*lines, body=b"x" * 100, path=b"/v1/predict", length=None):
    """A request for an answer as it goes over the wire."""
    length = len(body) if length is None else length
    head = [b"POST %s HTTP/1.1" % path, HOST, b"Content-Length: %d" % length, *lines]
    return b"\r\n".join([*head, b"", b""]) + body


class FullPool:
    full, n_ready = True, 1


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self):
        super().__init__()
        self.written, self.closed = b"", False

    def write(self, data):
        self.written += data

    def get_extra_info(self, name, default=None):
        return ("127.0.0.1", 8765) if name in ("peername", "sockname") else default

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    def write_eof(self): ...
    def pause_reading(self): ...
    def resume_reading(self): ...


def send(*pieces, pool=FullPool, wire=Wire, **settings):
    """Send pieces to a service; return (replies as (status, headers, body), tasks, counters)."""

    async def passed(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    async def run():
        counters = Counters()
        gate = Gate(passed, Settings({}, **settings), pool(), counters)
        config = uvicorn.Config(gate, http=Connection, log_config=None, proxy_headers=False)
        state, ours = ServerState(), wire()
        connection = Connection(config, state, {})
        connection.connection_made(ours)
        n_tasks = 0
        for piece in pieces:
            connection.data_received(piece)
            n_tasks += len(state.tasks)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        connection._unset_keepalive_if_required()
        return read_replies(ours.written), n_tasks, counters

    return asyncio.run(run())


def read_replies(data):
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    parser.send(h11.EndOfMessage())
    parser.receive_data(data)
    found = []
    while isinstance(event := parser.next_event(), h11.Response):
        body = bytes(parser.next_event().data)
        found.append((event.status_code, sorted(event.headers), body))
        assert isinstance(parser.next_event(), h11.EndOfMessage)
        if parser.their_state is h11.MUST_CLOSE or not parser.trailing_data[0]:
            break
        parser.start_next_cycle()
        parser.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
        parser.send(h11.EndOfMessage())
    return found


def without_number(reply):
    status, headers, body = reply
    return status, headers, re.sub(rb'"id":"[0-9a-f-]+"', b"", body)


def test_a_refusal_in_short_is_the_one_at_length():
    in_short, no_tasks, counted = send(ask())
    at_length, tasks, _ = send(ask(b"Connection: keep-alive"))
    assert (no_tasks, tasks > 0) == (0, True)  # each went its way
    assert [without_number(r) for r in in_short] == [without_number(r) for r in at_length]
    assert in_short[0][0] == 503
    assert counted.requests == {503: 1} and counted.refused == {"busy": 1}


@pytest.mark.parametrize("size", [1, 7, 100, 1_000, 200_000])
def test_the_body_of_what_was_refused_is_never_read_as_a_request(size):
    body = ask() * 3 + b"GET /v1/models HTTP/1.1\r\n\r\n" * 50
    data = ask(body=body) * 2
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    replies, *_ = send(*pieces)
    assert [reply[0] for reply in replies] == [503, 503]


def test_what_follows_a_refusal_on_its_connection_is_answered():
    replies, *_ = send(ask() + b"GET /v1/models HTTP/1.1\r\n" + HOST + b"\r\n\r\n")
    assert [(reply[0], reply[2]) for reply in replies[1:]] == [(200, b"/v1/models")]


class RoomyPool:
    full, n_ready = False, 1


@pytest.mark.parametrize(
    ("request_", "pool", "settings", "status"),
    [
        (ask(), RoomyPool, {}, 200),
        (ask(path=b"/v1/models"), FullPool, {}, 200),
        (ask().replace(HOST, b"Host: evil.example"), FullPool, {}, 421),
        (ask(HOST), FullPool, {}, 400),
        (ask(b"Origin: http://evil.example"), FullPool, {}, 403),
        (ask(), FullPool, {"token": "a" * 20}, 401),
        (ask(b"Content-Encoding: gzip"), FullPool, {}, 415),
        (ask(length=1 << 30), FullPool, {}, 413),
        (ask(b"Transfer-Encoding: chunked"), FullPool, {}, 400),
        (ask(b"Content-Length: 3"), FullPool, {}, 400),
        (ask(b"Broken"), FullPool, {}, 400),
    ],
)
def test_a_full_service_refuses_for_the_first_cause_there_is(request_, pool, settings, status):
    replies, *_ = send(request_, pool=pool, **settings)
    assert replies[0][0] == status


def test_a_client_is_counted_once_for_a_refusal():
    replies, *_ = send(*[ask()] * 25, rate=10.0)
    assert [reply[0] for reply in replies[:20]] == [503] * 20  # 20 at once
    assert replies[20][0] == 429


def test_what_is_remembered_of_a_head_is_judged_by_each_service_anew():
    request = ask(b"Authorization: Bearer " + b"a" * 20)
    for _ in range(2):
        assert send(request, token="a" * 20)[0][0][0] == 503
        assert send(request, token="b" * 20)[0][0][0] == 401
        assert send(request, max_bytes=50)[0][0][0] == 413


def test_the_rest_of_a_refused_body_is_thrown_away_where_it_came_and_no_more_than_it():
    ours, theirs = socket.socketpair()

    class Open(Wire):
        def get_extra_info(self, name, default=None):
            return ours if name == "socket" else super().get_extra_info(name, default)

    data = ask(body=b"x" * 90_000)
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(data[60_000:] + b"GET /v1/models")
        replies, *_ = send(data[:60_000], wire=Open)
        assert [reply[0] for reply in replies] == [503]
        assert ours.recv(100) == b"GET /v1/models"  # is the next request's
        theirs.close()
        assert send(data[:60_000], wire=Open)[0][0][0] == 503  # nothing came, and none will


def test_a_head_that_is_read_in_short_is_what_h11_reads():
    choose = random.Random(0)
    seed = ask(b"Accept: */*", b"X-Empty:", b"X-Space:   a b\t", path=b"/v1/predict?model=a&hop=1")
    n_read = 0
    for _ in range(3_000):
        data = bytearray(seed)
        for _ in range(choose.choice((0, 1, 1, 2))):
            at = choose.randrange(len(data) - 100)
            data[at : at + choose.choice((0, 1))] = choose.choice(
                (b"", b" ", b"\r", b"\n", b"\r\n", b":", b"\t", b"\0", b"a", b"9", b"\xff", b",")
            )
        head = read_head(bytes(data))
        if head is None:
            continue
        n_read += 1
        parser = h11.Connection(h11.SERVER)
        parser.receive_data(bytes(data[: head.n_bytes]))
        event = parser.next_event()
        assert tuple(event.headers) == head.headers
        assert event.target.startswith(b"/v1/predict")
        assert parser.their_state is h11.SEND_BODY
        lengths = [value for name, value in event.headers if name == b"content-length"]
        assert [int(value) for value in lengths] == [head.n_body]
    assert n_read > 500
