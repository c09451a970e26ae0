"""The child process: it decodes and answers, one item after another, and may die of any of them.

Run by the server as `python -m affectus.server.child SOCKET NOTES`: two open files by number, the
socket of `messages`, and shared memory in which it notes which item it has in hand and since when.
Everything it needs is loaded before it confines itself.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from affectus.errors import AffectusError, LimitError, MediaError
from affectus.media import Frame, Limits, load_decoders
from affectus.model_folder import ModelFacts
from affectus.predictor import Predictor, load_model
from affectus.server.confinement import SECONDS, allow_item, confine
from affectus.server.messages import (
    NOTES_BYTES,
    Answer,
    Drop,
    Fault,
    Feed,
    Finish,
    Message,
    Open,
    Predict,
    Ready,
    Refusal,
    Start,
    Unpacker,
    pack,
)  # fmt: skip

_RECEIVE = 1 << 18  # bytes at a time
_STREAM_SECONDS = 3_600

_encode = msgspec.json.Encoder().encode


def main() -> None:
    """Serve until the parent hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells everybody; the parent decides
    connection = socket.socket(fileno=int(sys.argv[1]))
    notes = mmap.mmap(int(sys.argv[2]), NOTES_BYTES)
    noted = memoryview(notes).cast("q")
    os.close(int(sys.argv[2]))
    sys.excepthook = _teller(connection)
    unpacker = Unpacker()
    incoming = _receive(connection, unpacker)
    start, _ = next(incoming)
    assert isinstance(start, Start)
    limits = Limits(max_seconds=start.max_seconds)
    models = {name: load_model(folder) for name, folder in start.models.items()}
    facts = {name: describe(model.facts) for name, model in models.items()}
    load_decoders()
    _warm_up(models, limits)
    held = confine(start.memory_bytes)
    connection.sendall(pack(Ready(held), _encode(facts)))
    service = _Service(models, limits)
    signal.signal(signal.SIGXCPU, service.stop)
    for message, body in incoming:
        if isinstance(message, Drop):
            service.streams.pop(message.stream, None)
            continue
        assert isinstance(message, Predict | Open | Feed | Finish)
        noted[1] = time.monotonic_ns()  # first: the parent never sees an item with another's time
        noted[0] = message.number
        allow_item()
        connection.sendall(service.answer(message, body))
        noted[0] = -1


def describe(facts: ModelFacts) -> dict[str, Any]:
    """Return what a client may know of a model."""
    return {
        "title": facts.name,
        "labels": facts.labels,
        "scheme": facts.scheme,
        "streams": facts.streams,
        "evaluation": facts.evaluation,
        "corpora": facts.corpora,
        "licences": facts.licences,
    }


def _receive(connection: socket.socket, unpacker: Unpacker) -> Any:
    held = memoryview(bytearray(_RECEIVE))  # kept: so much anew each time costs page faults
    while n_bytes := connection.recv_into(held):
        yield from unpacker.feed(held[:n_bytes])


def _teller(
    connection: socket.socket,
) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """Return a hook that tells the parent of an error in our own code, which ends this process."""

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        connection.sendall(pack(Fault(text)))

    return tell


def _warm_up(models: dict[str, Predictor], limits: Limits) -> None:
    """Answer once with each model, so that the first client does not wait for tables and memory.

    Of one that looks at films, what finds faces is loaded: it is read from files.
    """
    for model in models.values():
        model.warm_up()
        rate = model.extractor.sample_rate
        if "voice" in model.streams:
            noise = np.random.default_rng(0).normal(0, 0.1, 3 * rate).astype(np.float32)
            model.predict((noise, rate), limits=limits, only="voice")
        if "face" in model.streams:
            grey = np.full((144, 192), 120, np.uint8)
            model.stream(rate, limits=limits, only="face").see(Frame(0.0, grey))


class _Service:
    """Answers items; keeps the streams that are open."""

    def __init__(self, models: dict[str, Predictor], limits: Limits) -> None:
        self._models, self._limits = models, limits
        self._stream_limits = replace(
            limits, max_seconds=_STREAM_SECONDS, max_decoded_bytes=_STREAM_SECONDS * 192_000 * 4
        )
        self.streams: dict[int, tuple[str, Any]] = {}
        self._answers = False

    def stop(self, *_: object) -> None:
        """End the item in hand, whose processor time is used up; a handler of SIGXCPU.

        A decoder is interrupted once it returns: between two pictures. One that does not return is
        ended with this process by the parent's clock.
        """
        if self._answers:
            self._answers = False
            text = f"took more than {SECONDS} s of processor time; expected less. Cut it."
            raise LimitError("E1604", "", text)

    def answer(self, message: Predict | Open | Feed | Finish, body: bytes) -> bytes:
        """Return the reply, packed: an answer, or why there is none."""
        name = message.name if isinstance(message, Predict) else "stream"
        try:
            self._answers = True
            return pack(Answer(message.number), _encode(self._do(message, body)))
        except LimitError as error:
            return _refuse(message, LimitError(error.code, name, error.text), error.code)
        except MediaError as error:
            return _refuse(message, MediaError(error.code, name, error.text), error.code)
        except AffectusError as error:  # an option out of range
            return _refuse(message, error, "options")
        except MemoryError:
            text = "decoding took more memory than allowed; expected a recording. Leave it out."
            return _refuse(message, LimitError("E1605", name, text), "E1605")
        finally:
            self._answers = False

    def _do(self, message: Message, body: bytes) -> Any:
        match message:
            case Predict():
                return self._models[message.model].predict(
                    body,
                    window=message.window,
                    hop=message.hop,
                    labels=message.labels,
                    limits=self._limits,
                    name=message.name,
                )
            case Open():
                self.streams[message.stream] = (
                    message.form,
                    self._models[message.model].stream(
                        message.sample_rate,
                        window=message.window,
                        hop=message.hop,
                        labels=message.labels,
                        limits=self._stream_limits,
                    ),
                )
                return None
            case Feed():
                form, stream = self.streams[message.stream]
                return stream.feed(samples(body, form))
            case Finish():
                return self.streams.pop(message.stream)[1].finish()
        raise AssertionError(message)


def _refuse(message: Message, error: AffectusError, code: str) -> bytes:
    assert not isinstance(message, Start | Drop | Ready | Fault)
    return pack(Refusal(message.number, code, error.message))


def samples(body: bytes, form: str) -> NDArray[np.float32]:
    """Return a stream's bytes as samples [T], −1 to 1."""
    if form == "s16":
        return np.frombuffer(body, "<i2") * np.float32(1 / 32_768)
    return np.frombuffer(body, "<f4").astype(np.float32)


if __name__ == "__main__":
    main()
