"""The service refuses what strangers should not do: checks S01 to S22 of its threat list."""

import ast
import base64
import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import zlib
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from served import TOKEN, Served, error_code, form, voice, write_voice
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

import affectus
from affectus.cli import run

PACKAGE = Path(affectus.__file__).parent
LIMIT = 25 * 2**20
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_voice(tmp_path_factory.mktemp("voice") / "voice.wav", 1.0)


def head(service, *lines, method="POST", path="/v1/predict"):
    """A request's head as it goes over the wire, with this service's host."""
    host = f"Host: {service.host}:{service.port}"
    return "\r\n".join([f"{method} {path} HTTP/1.1", host, *lines, "", ""]).encode("latin-1")


def flood(service, start, piece, most):
    """Send pieces until the reply comes; return it and how many bytes went."""
    sent, rest, reply = 0, start, b""
    ends = time.monotonic() + 20
    with service.connect(20) as connection:
        connection.setblocking(False)
        while sent < most and time.monotonic() < ends and b"\r\n\r\n" not in reply:
            try:
                n_sent = connection.send(rest)
                sent, rest = sent + n_sent, rest[n_sent:] or piece
            except BlockingIOError:
                time.sleep(0.002)
            except (BrokenPipeError, ConnectionResetError):
                break
            with suppress(BlockingIOError, ConnectionResetError):
                reply += connection.recv(65_536)
    return reply, sent


# --- S01 to S06: bodies and headers ------------------------------------------------------------


def test_s01_a_body_over_the_limit_is_refused_by_its_length_alone(service):
    reply = service.exchange(head(service, f"Content-Length: {LIMIT + 1}"))
    assert (reply[0], error_code(reply)) == (413, "too-large")


def test_s01_a_body_that_does_not_say_its_length_is_refused_where_the_limit_is(service):
    before = service.memory
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    reply, sent = flood(service, head(service, "Transfer-Encoding: chunked"), chunk, 3 * LIMIT)
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert sent < LIMIT + 12 * 2**20  # what lies in the sockets of both sides, and is thrown away
    assert service.memory - before < 2 * LIMIT  # what was taken in is held until then


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "10, 11", "", "9" * 30])
def test_s01_a_length_that_lies_is_refused(service, length):
    reply = service.exchange(head(service, f"Content-Length: {length}") + b"x" * 100, timeout=20)
    assert reply[0] in (400, 413)


def test_s01_no_length_is_an_empty_body(service):
    reply = service.exchange(head(service, "Connection: close"))
    assert (reply[0], error_code(reply)) == (400, "E1001")


def test_s02_tens_of_thousands_of_tiny_chunks_are_refused_at_once(service):
    began = time.process_time()
    data = head(service, "Transfer-Encoding: chunked") + b"1\r\nx\r\n" * 65_537 + b"0\r\n\r\n"
    reply = service.exchange(data)
    assert (reply[0], error_code(reply)) == (400, "request")
    assert time.process_time() - began < 1


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity, gzip"])
def test_s03_compressed_bodies_are_refused(service, clip, coding):
    reply = service.post(zlib.compress(clip), headers={"Content-Encoding": coding})
    assert (reply[0], error_code(reply)) == (415, "encoding")


def closes_within(connection, seconds, drip=b""):
    """Seconds until the other side closes, while one byte is sent each half second."""
    began = time.monotonic()
    connection.settimeout(0.5)
    while time.monotonic() - began < seconds:
        try:
            if not connection.recv(65_536):
                return time.monotonic() - began
        except TimeoutError:
            pass
        except ConnectionResetError:
            return time.monotonic() - began
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(drip)
    raise AssertionError(f"open for {seconds} s")


def test_s04_slow_clients_are_left_and_hinder_nobody(service, clip):
    slow = []
    try:
        for _ in range(60):
            connection = service.connect()
            connection.sendall(b"POST /v1/predict HTTP/1.1\r\nX: ")
            slow.append(connection)
        dripping = service.connect()
        dripping.sendall(head(service, "Content-Length: 100000"))
        slow.append(dripping)
        silent = service.connect()
        slow.append(silent)
        assert service.post(clip)[0] == 200
        closed = {}
        watched = {"headers": slow[0], "body": dripping, "nothing": silent}

        def watch(name):
            closed[name] = closes_within(watched[name], 40, b"" if name == "nothing" else b"x")

        threads = [threading.Thread(target=watch, args=(name,)) for name in watched]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert closed["headers"] < 20  # 10 s, and a busy machine
        assert closed["nothing"] < 20
        assert closed["body"] < 30
    finally:
        for connection in slow:
            connection.close()


BAD_FORMS = {
    "no boundary": (b"x", "multipart/form-data"),
    "a boundary of 300": (b"x", "multipart/form-data; boundary=" + "b" * 300),
    "many headers": (b"--B\r\n" + b"A: b\r\n" * 50_000 + b"\r\nx\r\n--B--", "multipart/form-data; boundary=B"),  # noqa: E501
    "many parts": (
        b'--B\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\nx\r\n' * 10_001 + b"--B--",  # noqa: E501
        "multipart/form-data; boundary=B",
    ),
    "nested": (
        b'--B\r\nContent-Disposition: form-data; name="a"\r\nContent-Type: multipart/mixed; '
        b"boundary=C\r\n\r\n--C\r\nContent-Disposition: file; filename=x\r\n\r\nx\r\n--C--\r\n"
        b"--B--",
        "multipart/form-data; boundary=B",
    ),
    "a long preamble": (bytes(10 * 2**20) + b"\r\n--B--", "multipart/form-data; boundary=B"),
    "no end": (b'--B\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\nx', "multipart/form-data; boundary=B"),  # noqa: E501
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FORMS)
def test_s05_forms_that_are_not_are_refused(service, case):
    body, kind = BAD_FORMS[case]
    reply = service.post(body, headers={"Content-Type": kind})
    assert (reply[0], error_code(reply)) == (400, "form")


def test_s05_odd_names_in_a_form_are_only_ever_shown(service, clip):
    for disposition in ("form-data; name=a; filename*=UTF-8''%2e%2e%2fx.wav; filename=\"{}\"",
                        'form-data; name="a\0b"; filename="{}"'):  # fmt: skip
        body, headers = form({"same.wav": clip}, disposition=disposition)
        reply = service.post(body, headers=headers)
        assert reply[0] in (200, 400)
        assert b"Traceback" not in reply[2]
    twice, headers = form({"same.wav": clip})
    twice = twice.replace(b"--XBOUNDARYX--\r\n", b"") + twice
    found = msgspec.json.decode(service.post(twice, headers=headers)[2])
    assert [one["file"] for one in found["predictions"]] == ["same.wav", "same.wav"]


BAD_HEADS = {
    "a long header": (["X: " + "y" * 20_000, "Content-Length: 0"], {431}),
    "a thousand headers": (["X: y"] * 1_000 + ["Content-Length: 0"], {431}),
    "two hosts": (["Host: localhost", "Content-Length: 0"], {400}),
    "two lengths": (["Content-Length: 5", "Transfer-Encoding: chunked"], {400}),
    "lengths that differ": (["Content-Length: 5", "Content-Length: 6"], {400}),
    "an odd coding": (["Transfer-Encoding: chunked, identity"], {400, 501}),
    "a space before the colon": (["Content-Length : 0"], {400}),
    "a bare carriage return": (["X: a\rb", "Content-Length: 0"], {400}),
    "a NUL": (["X: a\0b", "Content-Length: 0"], {400}),
}


@pytest.mark.parametrize("case", BAD_HEADS)
def test_s06_heads_that_are_not_are_refused(service, case):
    lines, statuses = BAD_HEADS[case]
    reply = service.exchange(head(service, *lines))
    assert reply[0] in statuses
    assert reply[1]["connection"] == "close"
    assert error_code(reply) in ("request", "headers", "host")


@pytest.mark.parametrize("target", ["http://127.0.0.1/v1/models", "evil.example:443", "*", "v1"])
def test_s06_a_target_that_is_no_path_is_refused(service, target):
    reply = service.exchange(head(service, method="GET", path=target))
    assert reply[0] == 400


def test_s06_nothing_is_smuggled_behind_a_refusal(service):
    inner = head(service, method="GET", path="/v1/models")
    outer = head(service, "Content-Length: 4", "Transfer-Encoding: chunked")
    with service.connect() as connection:
        connection.sendall(outer + b"0\r\n\r\n" + inner)
        data = b""
        with suppress(ConnectionResetError):
            while piece := connection.recv(65_536):
                data += piece
    assert data.count(b"content-length:") == 1  # replies
    assert data.startswith(b"HTTP/1.1 400 ")


# --- S07, S08, S18: who asks ---------------------------------------------------------------------

ROUTES = [
    ("POST", "/v1/predict"), ("GET", "/v1/models"), ("GET", "/v1/models/small/card"),
    ("GET", "/health/live"), ("GET", "/health/ready"), ("GET", "/metrics"), ("GET", "/"),
    ("GET", "/runs"), ("GET", "/web/app.js"), ("GET", "/nothing"), ("GET", "/v1/stream"),
    ("GET", "/openapi.json"), ("GET", "/v1/runs"),
]  # fmt: skip
UPGRADE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(), "Content-Length": None,
}  # fmt: skip


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.nip.io", "", "127.0.0.1:x", "127.0.0.1:99999", "localhost.evil",
     "[::1", "a@127.0.0.1", "127.0.0.1/x", "2130706433", "10.0.0.1", "affectus"],
)  # fmt: skip
def test_s07_a_host_that_is_not_ours_is_refused(service, host):
    reply = service.get("/v1/models", {"Host": host})
    assert (reply[0], error_code(reply)) == (421, "host")


def test_s07_a_host_that_is_not_ours_is_refused_on_every_route(service):
    for method, path in ROUTES:
        reply = service.request(method, path, headers={"Host": "evil.example"})
        assert (reply[0], error_code(reply)) == (421, "host"), path
    reply = service.get("/v1/stream", {**UPGRADE, "Host": "evil.example"})
    assert reply[0] in (403, 421)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.2", "[::1]:80"])
def test_s07_this_machine_may_be_called_by_its_names(service, host):
    assert service.get("/health/live", {"Host": host})[0] == 200


FOREIGN = ["https://evil.example", "null", "http://127.0.0.1.evil", "http://127.0.0.1:1", "file://"]


@pytest.mark.parametrize("origin", FOREIGN)
def test_s08_pages_of_other_sites_are_refused(service, clip, origin):
    reply = service.post(clip, headers={"Origin": origin})
    assert (reply[0], error_code(reply)) == (403, "origin")
    reply = service.get("/v1/stream", {**UPGRADE, "Origin": origin})
    assert reply[0] == 403


def test_s08_no_other_site_is_told_that_it_may_read(service, clip):
    own = {"Origin": f"http://{service.host}:{service.port}"}
    replies = [service.post(clip, headers=own), service.get("/"),
               service.request("OPTIONS", "/v1/predict", headers={
                   **own, "Access-Control-Request-Method": "POST"})]  # fmt: skip
    assert [reply[0] for reply in replies] == [200, 200, 405]
    assert not any(name.startswith("access-control") for r in replies for name in r[1])


def test_s18_a_form_on_another_site_cannot_post(service, clip):
    body, headers = form({"a.wav": clip})
    for site in ("cross-site", "same-site"):
        reply = service.post(body, headers={**headers, "Sec-Fetch-Site": site})
        assert (reply[0], error_code(reply)) == (403, "origin")


# --- S09 to S11: tokens, binds, rates ------------------------------------------------------------


def test_s09_the_token_is_asked_for(guarded, clip):
    time.sleep(1)  # of the rate
    assert guarded.post(clip, headers=BEARER)[0] == 200
    assert guarded.get("/v1/models", {"Authorization": f"bearer {TOKEN}"})[0] == 200
    wrong = ["", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}",
             f"Bearer {TOKEN}x", f"Bearer {TOKEN.upper()}", f"Bearer  {TOKEN}", TOKEN,
             "Bearer " + "x" * 10_000]  # fmt: skip
    for value in wrong:
        reply = guarded.get("/v1/models", {"Authorization": value})
        assert (reply[0], error_code(reply)) == (401, "token"), value
        assert reply[1]["www-authenticate"] == "Bearer"
    for path in ("/v1/predict", "/v1/runs", "/v1/models/small/card", "/metrics", "/v1/nothing"):
        assert guarded.get(path)[0] == 401, path


def test_s09_a_token_in_an_address_is_not_looked_at(guarded):
    for name in ("token", "access_token", "key"):
        assert guarded.get(f"/v1/models?{name}={TOKEN}")[0] == 401
    assert TOKEN not in guarded.log


def test_s09_a_token_of_a_megabyte_is_not_read(guarded):
    reply = guarded.get("/v1/models", {"Authorization": "Bearer " + "x" * 2**20})
    assert reply[0] in (0, 400, 431)


def test_s09_how_much_of_a_token_is_right_does_not_show_in_the_time(guarded):
    from affectus.server.counters import Counters
    from affectus.server.gate import Gate
    from affectus.server.replies import RequestError
    from affectus.server.settings import Settings

    gate = Gate(None, Settings({}, token=TOKEN), None, Counters())
    scope = {"type": "http"}

    def seconds(given):
        began = time.perf_counter_ns()
        with suppress(RequestError):
            gate._check_token(scope, {b"authorization": b"Bearer " + given})
        return time.perf_counter_ns() - began

    near, far = TOKEN[:-1].encode() + b"!", b"!" + TOKEN[1:].encode()
    rounds = [(seconds(near), seconds(far)) for _ in range(20_000)]
    near_ns, far_ns = (statistics.median(column) for column in zip(*rounds, strict=True))
    assert abs(near_ns - far_ns) < 0.05 * far_ns


def test_s09_a_page_gives_its_token_beside_the_protocol(guarded, tmp_path):
    time.sleep(0.5)
    coded = base64.urlsafe_b64encode(TOKEN.encode()).decode().rstrip("=")
    address = f"ws://{guarded.host}:{guarded.port}/v1/stream"
    with connect(address, subprotocols=["affectus.v1", f"affectus.token.{coded}"]) as socket_:
        assert socket_.subprotocol == "affectus.v1"  # the token is not sent back
        assert msgspec.json.decode(socket_.recv(10))["type"] == "ready"
    for wrong in ("eA", "!!!!", coded[:-2]):
        with pytest.raises(InvalidStatus) as refused:
            connect(address, subprotocols=["affectus.v1", f"affectus.token.{wrong}"])
        assert refused.value.response.status_code == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org"])
def test_s10_no_one_else_may_reach_it_without_a_token(small_model, capsys, monkeypatch, host):
    monkeypatch.delenv("AFFECTUS_TOKEN", raising=False)
    assert run(["serve", "--model", str(small_model), "--host", host, "--port", "0"]) == 2
    assert "no token" in capsys.readouterr().err.splitlines()[-1]
    short = ["serve", "--model", str(small_model), "--host", host, "--token", "short"]
    assert run(short) == 2
    assert "16 or more" in capsys.readouterr().err.splitlines()[-1]


def test_s11_too_many_requests_are_refused_whoever_a_header_says_asks(guarded):
    statuses, replies = [], []
    for number in range(200):
        spoofed = {"X-Forwarded-For": f"10.0.0.{number}", "Forwarded": f"for=10.0.0.{number}"}
        reply = guarded.get("/v1/models", {**BEARER, **spoofed})
        statuses.append(reply[0])
        replies.append(reply)
        if reply[0] == 429:
            break
    assert statuses[:20] == [200] * 20 or 429 in statuses
    if 429 not in statuses:  # this machine sends fewer than fifty a second
        pytest.skip("this machine is too busy to exceed the rate")
    assert error_code(replies[-1]) == "rate"
    assert replies[-1][1]["retry-after"] == "1"
    time.sleep(1.5)
    assert guarded.get("/v1/models", BEARER)[0] == 200


def test_s11_a_bucket_refills_at_its_rate_for_each_client(monkeypatch):
    from affectus.server import gate as gates
    from affectus.server.counters import Counters
    from affectus.server.replies import RequestError
    from affectus.server.settings import Settings

    now = [100.0]
    monkeypatch.setattr(gates.time, "monotonic", lambda: now[0])
    gate = gates.Gate(None, Settings({}, rate=10.0), None, Counters())

    def passes(client):
        try:
            gate._check_rate({"client": (client, 1)})
        except RequestError:
            return False
        return True

    assert [passes("a") for _ in range(25)] == [True] * 20 + [False] * 5  # 20 at once
    assert passes("b")
    now[0] += 0.5  # five more: 10 a second
    assert [passes("a") for _ in range(7)] == [True] * 5 + [False] * 2


# --- S12 to S15: paths, names, addresses, pickles ------------------------------------------------


def odd_paths(n_paths=300):
    tokens = ["..", "%2e%2e", "%252e%252e", "..\\", "%5c", "//", "%00", "file:", "\u2024\u2024",
              "%c0%ae", "etc", "passwd", "web", "app.js", "models", "small", "a" * 300, ".", "~",
              "model.json", "%2f", ";", "\\"]  # fmt: skip
    choose = random.Random(0)
    for _ in range(n_paths):
        start = choose.choice(["/web/", "/v1/models/", "/v1/runs/", "/"])
        path = start + "/".join(choose.choices(tokens, k=choose.randint(1, 6)))
        yield path.encode("utf-8").decode("latin-1")


def test_s12_no_path_leads_out_of_the_pages(service, small_model):
    weights = "model.json"
    assert (small_model / weights).is_file()
    gone = msgspec.json.decode(service.get("/web/nothing")[2])["error"]["message"]
    for path in [
        f"/v1/models/..%2fsmall%2f{weights}/card", f"/web/../../{weights}", "/web/%2e%2e/gate.py",
        "/web/..%2f..%2fserver/gate.py", "/web/%252e%252e/server/gate.py", *odd_paths(),
    ]:  # fmt: skip
        reply = service.get(path)
        assert reply[0] in (400, 404) or path.partition("?")[0] in ("/", "//"), path
        if reply[0] == 404:
            message = msgspec.json.decode(reply[2])["error"]["message"]
            assert message in (gone, "no such model; /v1/models lists them.")


NASTY = [
    "../../etc/passwd", "..\\..\\x", "/etc/shadow", "a\0b", "con", "x" * 2_000, "$(touch pwned)",
    "`touch pwned`", "; touch pwned", "<img src=x onerror=alert(1)>", "a\r\nSet-Cookie: b=c",
    "\x1b[31mred", "\u202egnp.wav", "file:///etc/passwd", "|cat", "%s%n", "{{7*7}}",
]  # fmt: skip


def test_s13_the_name_of_an_upload_names_nothing_here(service, clip, tmp_path):
    before = set(Path.cwd().iterdir()) | set(Path("/tmp").glob("*pwned*"))
    for name in NASTY:
        safe = name.replace("\r\n", "%0d%0a").replace("\0", "%00")
        body, headers = form({safe: clip, "b.wav": b"Dear diary"})
        reply = service.post(body, headers=headers)
        assert reply[0] == 200
        content = msgspec.json.decode(reply[2])
        assert len(content["predictions"]) == len(content["failed"]) == 1
        assert "set-cookie" not in reply[1]
    assert set(Path.cwd().iterdir()) | set(Path("/tmp").glob("*pwned*")) == before
    assert "passwd" not in service.log


@pytest.fixture
def canary():
    """A server on this machine that nobody should ask, and the addresses that did."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        over = threading.Event()

        def wait():
            while not over.is_set():
                with suppress(TimeoutError):
                    connection, address = listening.accept()
                    asked.append(address)
                    connection.close()

        thread = threading.Thread(target=wait)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/canary", asked
        over.set()
        thread.join()


def test_s14_no_address_is_ever_followed(service, canary, tmp_path, clip):
    address, asked = canary
    secret = tmp_path / "secret.wav"
    secret.write_bytes(clip)
    lists = [
        f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{place}\n#EXT-X-ENDLIST\n".encode()
        for place in (address, secret.as_uri(), str(secret))
    ]
    lists += [f"ffconcat version 1.0\nfile '{place}'\n".encode() for place in (address, secret)]
    lists += [f"[playlist]\nFile1={address}\n".encode(), f"v=0\nc=IN IP4 {address}\n".encode(),
              f'<smil><audio src="{address}"/></smil>'.encode()]  # fmt: skip
    for data in lists:
        for name in ("up.wav", "up.mp4", "up.m3u8"):
            reply = service.post(data, f"/v1/predict?name={name}")
            assert (reply[0], error_code(reply)) == (415, "E1002")
    for query in (f"model={address}", f"name={address}", f"url={address}", f"file={address}"):
        service.post(b"x", f"/v1/predict?{query}")
    body, headers = form({"a": b"x"}, disposition=f'form-data; name="url"; filename="{address}"')
    service.post(body, headers=headers)
    assert asked == []


PICKLERS = {"pickle", "cPickle", "_pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}


def test_s15_nothing_that_runs_code_is_unpacked_in_the_package():
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = {alias.name.partition(".")[0] for alias in node.names}
                assert not names & PICKLERS, path
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").partition(".")[0] not in PICKLERS, path
            elif isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in ("eval", "exec", "compile", "__import__", "torch.load",
                                    "yaml.load", "os.system", "os.popen"), (path, name)  # fmt: skip
                for keyword in node.keywords:
                    asked = (keyword.arg, ast.unparse(keyword.value))
                    assert asked not in {("allow_pickle", "True"), ("shell", "True")}, path


AUDIT = """
import sys
from pathlib import Path
seen = []
BANNED = ("pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn",
          "os.fork", "socket.connect", "socket.bind", "urllib.Request")
sys.addaudithook(lambda name, arguments: seen.append(name) if name in BANNED else None)
import affectus
model = affectus.load_model(sys.argv[1])
print(model.predict(Path(sys.argv[2]).read_bytes()).emotion)
print(seen)
"""


def test_s15_answering_neither_unpickles_nor_connects_nor_starts_anything(
    small_model, clip, tmp_path
):
    (tmp_path / "a.wav").write_bytes(clip)
    done = subprocess.run(
        [sys.executable, "-c", AUDIT, str(small_model), str(tmp_path / "a.wav")],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


# --- S16: the child ------------------------------------------------------------------------------

PROBE = """
import ctypes, errno, json, os, resource, socket, subprocess, sys, threading
from affectus.server.confinement import confine
held = confine(256 << 20)
found = {}
def probe(name, work):
    try:
        work()
    except (OSError, MemoryError, RuntimeError) as error:
        found[name] = "refused"
    else:
        found[name] = "done"
probe("socket", lambda: socket.socket())
probe("write", lambda: open("/tmp/affectus-probe", "wb"))
probe("write here", lambda: open("probe", "wb"))
probe("program", lambda: subprocess.run(["/bin/true"]))
probe("fork", lambda: os.fork() or os._exit(0))
probe("kill", lambda: os.kill(os.getppid(), 0))
probe("delete", lambda: os.unlink(sys.argv[1]))
probe("rename", lambda: os.rename(sys.argv[1], sys.argv[1] + "2"))
probe("memory", lambda: bytearray(1 << 30))
probe("thread", lambda: threading.Thread(target=int).start())
probe("read", lambda: open(sys.argv[1], "rb").read())
found["cwd"] = os.listdir(".")
probe("files", lambda: [os.dup(1) for _ in range(64)])
print(json.dumps([held, found]))
"""


def test_s16_a_confined_process_can_only_read_and_compute(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(tmp_path / "file")],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    held, found = json.loads(done.stdout)
    assert found["memory"] == found["files"] == found["write here"] == "refused"
    assert found["read"] == found["thread"] == "done"
    assert found["cwd"] == []
    if "system calls" not in held:
        pytest.skip("this machine does not let a process forbid itself system calls")
    names = ("socket", "write", "program", "fork", "kill", "delete", "rename")
    assert {name: found[name] for name in names} == dict.fromkeys(names, "refused")
    assert (tmp_path / "file").read_bytes() == b"x"


def test_children_do_not_hear_ctrl_c_even_while_they_load(guarded):
    # proc(5): SigBlk is a mask in hexadecimal; the signal n is its bit n - 1.
    for child in guarded.children:
        status = Path(f"/proc/{child}/status").read_text()
        mask = int(re.search(r"^SigBlk:\s+([0-9a-f]+)$", status, flags=re.MULTILINE)[1], 16)
        assert mask == 1 << (signal.SIGINT - 1)


def test_s16_children_know_no_secret(guarded):
    for child in guarded.children:
        environment = Path(f"/proc/{child}/environ")
        try:
            found = environment.read_bytes()
        except PermissionError:  # not even their owner may look
            continue
        assert TOKEN.encode() not in found
        assert b"AFFECTUS" not in found


# --- S17: what the page may do -------------------------------------------------------------------


def test_s17_pages_may_load_only_what_is_here(service):
    for path in ("/", "/runs", "/web/app.js", "/v1/models"):
        headers = service.get(path)[1]
        policy = dict(
            part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_s17_pages_have_no_script_or_style_of_their_own_and_no_outside_address():
    for path in (PACKAGE / "web").iterdir():
        text = path.read_text("utf-8")
        for word in ("onclick=", "style=", "<script>", "javascript:", "innerHTML", "outerHTML",
                     "insertAdjacentHTML", "document.write", "eval(", "new Function"):  # fmt: skip
            assert word not in text, (path.name, word)
        outside = text.replace("http://www.w3.org/", "")  # a name, nothing that is fetched
        assert "http://" not in outside and "https://" not in outside, path.name


# --- S19: streams --------------------------------------------------------------------------------


def stream(service, query="", **named):
    named.setdefault("compression", None)
    return connect(f"ws://{service.host}:{service.port}/v1/stream?{query}", **named)


def close_code(socket_, seconds=20):
    """The code with which the other side closes."""
    with suppress(ConnectionClosed):
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            socket_.recv(seconds)
    return socket_.close_code


def test_s19_a_message_that_is_too_large_closes_the_stream(service):
    with stream(service) as socket_:
        socket_.send(bytes(64 * 1024 + 2))
        assert close_code(socket_) == 1009


def test_s19_a_text_where_samples_are_due_closes_the_stream(service):
    with stream(service) as socket_:
        socket_.send("what do I feel?")
        assert close_code(socket_) == 1003


def test_s19_a_flood_of_tiny_messages_closes_the_stream(service):
    with stream(service) as socket_:
        socket_.recv(10)
        with suppress(ConnectionClosed):
            for _ in range(100_000):
                socket_.send(b"\0\0")
        assert close_code(socket_) == 1008


def test_s19_samples_faster_than_speech_close_the_stream(service):
    with stream(service, "rate=8000&window=0.5") as socket_:
        socket_.recv(10)
        piece = (voice(2.0, 8_000) * 9_000).astype("<i2").tobytes()
        with suppress(ConnectionClosed):
            for _ in range(100):
                socket_.send(piece)
        assert close_code(socket_) == 1008


def test_s19_silence_on_the_line_and_an_endless_stream_are_ended(monkeypatch):
    import asyncio

    from affectus.server import stream as streams

    class Client:
        """One that says nothing, or never stops."""

        def __init__(self):
            self.take = None

        async def receive(self):
            await asyncio.sleep(60)

        async def send_text(self, text):
            self.said = text

    class Pool:
        def place(self):
            return object()

        async def ask_child(self, child, make, body=b""):
            return b"[]"

    monkeypatch.setattr(streams, "_IDLE_SECONDS", 0.05)
    ask = lambda number: streams.Open(number, 1, "m", 16_000, "s16", 3.0, 1.0)  # noqa: E731

    async def talk(client):
        while True:
            client.take(b"\0\0")
            await asyncio.sleep(0)

    async def ends(talks):
        client = Client()
        stream = streams.Stream(client, client, Pool(), None, ask)
        talking = asyncio.create_task(talk(client)) if talks else None
        with pytest.raises(streams.ClosedError) as ended:
            await stream.run()
        if talking is not None:
            talking.cancel()
        return ended.value.code, ended.value.name

    assert asyncio.run(ends(talks=False)) == (1001, "idle")
    monkeypatch.setattr(streams, "_LONGEST_SECONDS", 0.05)
    monkeypatch.setattr(streams, "_MESSAGES_PER_SECOND", 1e9)
    assert asyncio.run(ends(talks=True)) == (1001, "long")


def test_s19_compression_is_never_agreed_to(service):
    with stream(service, compression="deflate") as socket_:
        assert "Sec-WebSocket-Extensions" not in socket_.response.headers


# --- S20 to S22: what is told, logged, left ------------------------------------------------------


def test_s20_counts_and_descriptions_are_not_for_everybody(service, guarded):
    assert service.get("/metrics")[0] == 404
    assert guarded.get("/metrics")[0] == 401
    for path in ("/docs", "/redoc", "/openapi.json", "/debug"):
        assert guarded.get(path)[0] == 404, path
    assert service.get("/openapi.json")[0] == 200  # --dev
    time.sleep(0.5)
    text = guarded.get("/metrics", BEARER)[2].decode()
    assert 'affectus_refused_total{code="token"} ' in text
    assert "affectus_answer_seconds_count " in text
    assert "127.0.0.1" not in text


def test_s20_refusals_tell_nothing_of_the_machine(service, clip):
    replies = [
        service.get("/nothing"), service.post(b"Dear diary"), service.post(clip[:50]),
        service.post(clip, "/v1/predict?model=/etc"), service.exchange(b"NONSENSE\r\n\r\n"),
        service.request("DELETE", "/v1/models"), service.get("/web/../x"),
    ]  # fmt: skip
    for status, headers, body in replies:
        assert 400 <= status < 500
        assert "server" not in headers
        text = body.decode()
        for word in ("Traceback", ".py", "/usr", str(PACKAGE), "uvicorn", "starlette", "h11"):
            assert word not in text
        assert text.isprintable()


def test_s21_what_clients_send_does_not_reach_the_log(service, clip):
    before = service.log
    body, headers = form({"a\x1b[31m.wav": clip})
    service.post(body, headers={**headers, "User-Agent": "\x1b]0;owned\x07", "X-A": "forged"})
    service.get("/%0d%0aINFO forged")
    service.post(b"x", "/v1/predict?name=a%0d%0aforged%1b[31m")
    assert service.log == before


def test_s21_names_are_escaped_where_they_are_told(service):
    reply = service.post(b"Dear diary", "/v1/predict?name=a%0d%0aforged%1b[31m%e2%80%ae")
    message = msgspec.json.decode(reply[2])["error"]["message"]
    assert message.isprintable()
    assert "forged" in message


def test_s22_nothing_of_an_upload_is_left_anywhere(small_model, tmp_path):
    watermark = b"WATERMARK" + bytes(random.Random(1).randbytes(55))
    folder = tmp_path / "tmp"
    folder.mkdir()
    served = Served(small_model, options=["--workers", "1"], environment={"TMPDIR": str(folder)})
    try:
        import struct

        data = write_voice(tmp_path / "v.wav", 1.0) + b"note" + struct.pack("<I", 64) + watermark
        (tmp_path / "v.wav").unlink()
        assert served.post(data)[0] == 200
        assert served.post(watermark * 100)[0] == 415
        body, headers = form({f"{watermark.hex()}.wav": data})
        assert served.post(body, headers=headers)[0] == 200
        for child in served.children:
            os.kill(child, 6)  # it would leave a core
        served._wait(lambda: served.get("/health/ready")[0] == 200)
        assert list(folder.rglob("*")) == []
        assert watermark.hex() not in served.log
    finally:
        assert served.stop() == 0
    assert list(folder.rglob("*")) == []
    cores = [path for path in Path.cwd().glob("core*") if path.is_file()]
    assert cores == []


def test_a_folder_that_is_no_model_is_refused_before_anything_starts(tmp_path, capsys):
    assert run(["serve", "--model", str(tmp_path), "--port", "0"]) == 2
    assert capsys.readouterr().err == (
        f"ModelError: {tmp_path}: no model.json in it; expected a model folder. Make one with: "
        f"affectus export RUN -o MODEL\n"
    )
