"""The service answers as the command does, for files and live; it stops in good order."""

import os
import signal
import threading
import time
from contextlib import suppress

import msgspec
import numpy as np
import pytest
from making import NOT_AUDIO, encode, flac, tone, wav
from served import Served, error_code, form, voice, write_voice
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

import affectus
from affectus.cli import run


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_voice(tmp_path_factory.mktemp("voice") / "voice.wav")


def decode(reply):
    assert reply[0] == 200, reply
    return msgspec.json.decode(reply[2])


# --- recordings --------------------------------------------------------------------------------


def test_the_reply_is_what_the_command_prints(service, small_model, clip, tmp_path, monkeypatch, capsys):  # fmt: skip  # noqa: E501
    (tmp_path / "voice.wav").write_bytes(clip)
    monkeypatch.chdir(tmp_path)
    assert run(["predict", "voice.wav", "--model", str(small_model), "--json"]) == 0
    reply = service.post(clip, "/v1/predict?name=voice.wav")
    assert reply[2].decode() == capsys.readouterr().out


def test_a_window_gives_segments_as_the_library_does(service, small_model, clip):
    expected = affectus.load_model(small_model).predict(clip, window=0.5, hop=0.25)
    answer = decode(service.post(clip, "/v1/predict?window=0.5&hop=0.25"))["predictions"][0]
    assert answer["segments"] == msgspec.to_builtins(expected.segments)
    assert answer["scores"] == expected.scores


def test_several_recordings_are_answered_in_order_and_bad_ones_named(service, clip):
    body, headers = form({"a.wav": clip, "b.wav": b"Dear diary", "c.wav": clip})
    content = decode(service.post(body, headers=headers))
    assert [answer["file"] for answer in content["predictions"]] == ["a.wav", "c.wav"]
    (failed,) = content["failed"]
    assert (failed["file"], failed["code"]) == ("b.wav", "E1002")


def test_two_models_are_asked_about_one_recording(service, clip):
    content = decode(service.post(clip, "/v1/predict?model=small&model=other"))
    assert [answer["model"] for answer in content["predictions"]] == ["small", "other"]
    first, second = (answer["scores"] for answer in content["predictions"])
    assert first != second


def test_answers_do_not_depend_on_what_else_is_asked(service, clip):
    # Micro-batching would be visible here: forty at once, of three lengths, beside one alone.
    recordings = [encode(voice(seconds)) for seconds in (0.6, 1.4, 2.9)]
    alone = [service.post(data)[2] for data in recordings]
    replies = [None] * 36

    def ask(place):
        while True:
            reply = service.post(recordings[place % 3])
            if reply[0] != 503:
                break
        replies[place] = reply[2]

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(36)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert replies == alone * 12


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "E1001"),
        (NOT_AUDIO["a text"], 415, "E1002"),
        (wav(no_data=True), 400, "E1003"),
        (encode(tone(0.05)), 400, "E1201"),
        (wav(rate=655_350), 400, "E1104"),
        (flac(20_000), 413, "E1502"),  # minutes of eight channels in 700 KB
    ],
)
def test_a_recording_that_cannot_be_used_is_refused_in_the_commands_words(
    service, data, status, code, tmp_path, capsys, small_model
):
    reply = service.post(data, "/v1/predict?name=x.wav")
    assert (reply[0], error_code(reply)) == (status, code)
    message = msgspec.json.decode(reply[2])["error"]["message"]
    assert message.startswith(f"{code} 'x.wav': ")
    (tmp_path / "x.wav").write_bytes(data)
    assert run(["predict", str(tmp_path / "x.wav"), "--model", str(small_model)]) != 0
    assert message.split(": ", 1)[1] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("model=smal", "no model 'smal'; known models: small, other."),
        ("window=long", "window is 'long'; expected a number of seconds."),
        ("window=0.001", "window is 0.001 s; expected 0.1 to 600 s."),
        ("window=nan", "window is nan s"),
        ("labels=five", "five"),
        ("volume=11", "unknown option 'volume'; known: hop, labels, model, name, window."),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(service, clip, query, text):
    reply = service.post(clip, f"/v1/predict?{query}")
    assert (reply[0], error_code(reply)) == (400, "options")
    assert text in msgspec.json.decode(reply[2])["error"]["message"]


# --- models, health, pages ---------------------------------------------------------------------


def test_models_and_their_cards_are_told(service, small_model):
    models = decode(service.get("/v1/models"))["models"]
    assert [(model["id"], model["labels"]) for model in models] == [
        ("small", ["neutral", "happy", "sad", "angry"]),
        ("other", ["neutral", "happy", "sad", "angry"]),
    ]
    reply = service.get("/v1/models/small/card")
    assert reply[2] == (small_model / "MODEL_CARD.md").read_bytes()
    assert service.get("/v1/models/large/card")[0] == 404


def test_health_tells_what_was_given_up(service):
    assert decode(service.get("/health/live")) == {"status": "live"}
    ready = decode(service.get("/health/ready"))
    assert ready["workers"] == 2
    assert {"memory", "files", "cores"} <= set(ready["held"])


def test_what_is_not_there_is_told_in_the_one_form(service):
    assert error_code(service.get("/nothing")) == "not-found"
    reply = service.get("/v1/predict")
    assert (reply[0], error_code(reply)) == (405, "method")


def test_pages_are_cached_until_they_change(service):
    status, headers, body = service.get("/")
    assert status == 200
    assert b"<title>Affectus</title>" in body
    again = service.get("/", {"If-None-Match": headers["etag"]})
    assert (again[0], again[2]) == (304, b"")


# --- what dies ---------------------------------------------------------------------------------


def test_a_child_that_is_killed_costs_nobody_an_answer(small_model, clip):
    served = Served(small_model, options=["--workers", "1"])
    try:
        expected = served.post(clip)[2]
        replies = []
        threads = [
            threading.Thread(target=lambda: replies.append(served.post(clip))) for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        os.kill(served.children[0], signal.SIGKILL)
        for thread in threads:
            thread.join()
        # Refused while none is ready, or answered: nobody hangs, nobody gets another answer.
        for status, headers, body in replies:
            assert status in (200, 503)
            assert body == expected if status == 200 else headers["retry-after"] == "1"
        served._wait(lambda: served.get("/health/ready")[0] == 200)
        assert served.post(clip)[2] == expected
    finally:
        assert served.stop() == 0


def test_sigterm_answers_what_was_taken_in(small_model, tmp_path):
    served = Served(small_model, options=["--workers", "1"])
    long = write_voice(tmp_path / "long.wav", 60.0)
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(served.post(long))) for _ in range(5)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not served.children:
        time.sleep(0.01)
    time.sleep(0.3)  # all five are taken in
    began = time.monotonic()
    code = served.stop()
    for thread in threads:
        thread.join()
    assert code == 0
    assert [status for status, _, _ in replies] == [200] * 5
    assert time.monotonic() - began < 30


def test_sigterm_ends_it_in_time_whatever_clients_do(small_model, tmp_path):
    served = Served(small_model, options=["--workers", "1"])
    long = write_voice(tmp_path / "long.wav", 20.0)
    head = f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
    over, statuses, idle = threading.Event(), set(), []

    def hammer():
        while not over.is_set():
            with suppress(OSError):
                statuses.add(served.post(long)[0])

    threads = [threading.Thread(target=hammer) for _ in range(24)]
    try:
        for begun in ["", "POST ", head, head + "Content-Length: 100000\r\n\r\nRIFF"] * 5:
            idle.append(served.connect())
            idle[-1].sendall(begun.encode())
        for thread in threads:
            thread.start()
        time.sleep(1.0)
        began = time.monotonic()
        assert served.stop() == 0
        assert time.monotonic() - began < 20  # 10 s to drain, and a busy machine
    finally:
        over.set()
        for thread in threads:
            thread.join()
        for connection in idle:
            connection.close()
    assert statuses <= {0, 200, 503}


# --- live --------------------------------------------------------------------------------------


def pcm(waveform):
    return (waveform * 32_767).astype("<i2").tobytes()


def talk(service, waveform, query, piece=3_200, form="s16"):
    """Send a waveform as a stream; return every message that comes back, and the close code."""
    data = pcm(waveform) if form == "s16" else waveform.astype("<f4").tobytes()
    address = f"ws://{service.host}:{service.port}/v1/stream?{query}"
    messages = []
    with connect(address, compression=None) as socket:
        for at in range(0, len(data), piece):
            socket.send(data[at : at + piece])
        socket.send("end")
        with suppress(ConnectionClosedError):  # for cause: the code says which
            for text in socket:
                messages.append(msgspec.json.decode(text))
        return messages, socket.close_code


@pytest.mark.parametrize("piece", [640, 3_200, 9_998])
def test_a_stream_says_in_the_end_what_the_whole_file_would(service, small_model, piece):
    waveform = voice(4.3)
    model = affectus.load_model(small_model)
    samples = np.frombuffer(pcm(waveform), "<i2") * np.float32(1 / 32_768)
    expected = model.predict((samples, 16_000), window=2.0, hop=1.0)
    messages, code = talk(service, waveform, "window=2&hop=1", piece)
    assert code == 1000
    assert messages[0]["type"] == "ready"
    answers = [message["segment"] for message in messages if message["type"] == "answer"]
    assert [(one["start"], one["end"]) for one in answers] == [(0, 2), (1, 3), (2, 4)]
    final = messages[-1]["prediction"]
    assert final["segments"] == msgspec.to_builtins(expected.segments)
    np.testing.assert_allclose(
        list(final["scores"].values()), list(expected.scores.values()), atol=1e-5
    )


def test_a_stream_takes_floats_and_other_rates(service):
    waveform = voice(2.5, rate=48_000)
    messages, code = talk(
        service, waveform, "window=2&hop=1&rate=48000&format=f32", piece=40_000, form="f32"
    )
    assert code == 1000
    assert messages[-1]["type"] == "final"


def test_streams_do_not_mix(service):
    low, high = (0.3 * tone(3.2, pitch).astype("f4") for pitch in (220, 3_000))
    alone = [talk(service, wave, "window=1&hop=1")[0][-1] for wave in (low, high)]
    found = [None] * 6

    def one(place):
        while found[place] is None:
            with suppress(InvalidStatus):  # a slow machine takes fewer streams at once
                found[place] = talk(service, (low, high)[place % 2], "window=1&hop=1")[0][-1]

    threads = [threading.Thread(target=one, args=(place,)) for place in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == alone * 3


def test_a_stream_of_too_little_is_refused_in_words(service):
    messages, code = talk(service, tone(0.05), "window=1&hop=1")
    assert code == 1008
    assert messages[-1]["error"]["code"] == "E1201"
