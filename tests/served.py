"""A running service for tests, and raw sockets to it: what no browser would send."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import torch
from small_models import SMALL

from affectus.export import export_network
from affectus.features import create_extractor, describe_extractor
from affectus.media import write_audio
from affectus.model_folder import SCHEMA, ModelFacts, write_facts
from affectus.models import ModelConfig, create_model, save
from affectus.synthesis import synthesize_voice

LABELS = ("neutral", "happy", "sad", "angry")
TOKEN = "a-token-for-tests-0123456789"


def write_model(folder, name="small", seed=0, card="# A model with fresh weights\n"):
    """Write a model folder with fresh weights: what it says is nothing, how it says it is."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    config = ModelConfig("crnn", 32, len(LABELS), SMALL["crnn"])
    network = create_model(config).eval()
    save(network, config, folder / "weights.safetensors")
    (folder / "model.onnx").write_bytes(export_network(network, 32))
    (folder / "MODEL_CARD.md").write_text(card)
    extractor = create_extractor("logmel", n_mels=32, f_max=6_000.0)
    facts = ModelFacts(
        schema=SCHEMA,
        name=name,
        labels=LABELS,
        scheme="four",
        extractor=describe_extractor(extractor),
        temperature=1.0,
        evaluation={},
        corpora=[],
        licences=[],
        provenance={},
        sha256={},
    )
    write_facts(folder, facts, ("model.onnx", "weights.safetensors", "MODEL_CARD.md"))
    return folder


def voice(seconds, rate=16_000):
    """A synthetic voice [T] that says its sentence over and over."""
    return np.resize(synthesize_voice("happy", speaker=3, sample_rate=rate), round(seconds * rate))


def write_voice(path, seconds=2.0):
    """Write a recording that sounds like speech; return its bytes."""
    write_audio(path, voice(seconds))
    return Path(path).read_bytes()


class Served:
    """`affectus serve` in a process of its own, on a port of its own."""

    def __init__(self, *models, options=(), environment=None):
        command = [sys.executable, "-m", "affectus", "serve", "--port", "0"]
        for model in models:
            command += ["--model", str(model)]
        self.process = subprocess.Popen(
            [*command, *options],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.lines = []
        self.host = "127.0.0.1"
        self.port = 0
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        self._wait(lambda: self.port)
        self._wait(lambda: self.get("/health/ready")[0] == 200)

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.search(r"http://\S+:(\d+) ", line):
                self.port = int(found[1])

    def _wait(self, met, seconds=90):
        ends = time.monotonic() + seconds
        while not met():
            assert self.process.poll() is None, f"the service has ended: {self.lines}"
            assert time.monotonic() < ends, f"not in {seconds} s: {self.lines}"
            time.sleep(0.05)

    @property
    def log(self):
        return "".join(self.lines)

    @property
    def children(self):
        pid = self.process.pid
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    @property
    def memory(self):
        """Resident bytes of the server itself."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def connect(self, timeout=60):
        return socket.create_connection((self.host, self.port), timeout=timeout)

    def exchange(self, data, timeout=60):
        """Send raw bytes; return (status, headers, body) of the reply, 0 if there is none."""
        with self.connect(timeout) as connection:
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(data)  # refused before all was sent: the reply may be there
            return read_reply(connection)

    def request(self, method, path, body=b"", headers=None):
        lines = {"Host": f"{self.host}:{self.port}", "Content-Length": len(body)}
        lines |= {"Connection": "close"} | (headers or {})
        head = [f"{method} {path} HTTP/1.1"]
        head += [f"{name}: {value}" for name, value in lines.items() if value is not None]
        return self.exchange("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)

    def get(self, path, headers=None):
        return self.request("GET", path, headers=headers)

    def post(self, body, path="/v1/predict", headers=None):
        return self.request("POST", path, body, headers)

    def stop(self):
        """End it in good order; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            self._reading.join()
            self.process.stderr.close()


def read_reply(connection):
    """Return (status, headers by lower-case name, body) of one reply."""
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65_536)
            if not piece:
                return 0, {}, data
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        while len(body) < length and (piece := connection.recv(65_536)):
            body += piece
    except ConnectionResetError:
        return 0, {}, data
    return int(lines[0].split()[1]), headers, body[:length]


def error_code(reply):
    """The code in a reply that refuses; its form is checked on the way."""
    content = msgspec.json.decode(reply[2])
    assert set(content) == {"error"}
    assert set(content["error"]) == {"code", "message", "id"}
    return content["error"]["code"]


def form(files, boundary="XBOUNDARYX", disposition='form-data; name="file"; filename="{}"'):
    """A multipart body of {file name: bytes} and its content type."""
    body = b""
    for name, data in files.items():
        head = f"--{boundary}\r\nContent-Disposition: {disposition.format(name)}\r\n\r\n"
        body += head.encode() + data + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
