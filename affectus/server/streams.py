"""Live audio over a WebSocket: samples in, an answer each hop, the whole at the end.

The client sends binary messages of mono samples, little-endian, and the text `end` when it is
done. It gets JSON texts: `{"type": "ready", …}` first, `{"type": "answer", "segment": …}` each
hop, `{"type": "busy"}` where an answer will be late, `{"type": "final", "prediction": …}` at the
end, `{"type": "error", "error": …}` before a close for cause.

A stream lives in one child. Its samples are gathered here until an answer is due and sent over at
once, so a child wakes once an answer, not once a message.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from affectus.server.counters import Counters
from affectus.server.messages import Open
from affectus.server.pool import Pool
from affectus.server.replies import RequestError, error_reply
from affectus.server.routes import read_options
from affectus.server.settings import Settings
from affectus.server.stream import BYTES, POLICY, RESTART, ClosedError, Stream

PROTOCOL = "affectus.v1"  # a page that presents a token must offer another one, too

_OPTIONS = {"model", "rate", "format", "window", "hop", "labels"}
_RATES = (8_000, 96_000)  # Hz


class Streams:
    """The streams that are open."""

    def __init__(self, settings: Settings, pool: Pool, counters: Counters) -> None:
        self._settings, self._pool, self._counters = settings, pool, counters
        self._numbers = itertools.count(1)
        self._n_answers = 0.0  # a second, that the open streams were promised

    async def serve(self, socket: WebSocket) -> None:
        """Serve one stream to its end."""
        try:
            ask = self._read(socket)
        except RequestError as refused:
            await socket.send_denial_response(error_reply(refused, socket.state.request_id))
            return
        offered = socket.scope.get("subprotocols", [])
        protocol = PROTOCOL if PROTOCOL in offered else None
        stream = Stream(socket, socket.state.frames, self._pool, self._counters, ask)
        promised = 1 / ask(0).hop
        self._counters.n_streams += 1
        self._n_answers += promised
        try:
            await socket.accept(subprotocol=protocol)
            await stream.run()
        except WebSocketDisconnect:
            pass
        except ClosedError as closed:
            await stream.close(closed)
        except RequestError as refused:
            code = RESTART if refused.code == "lost" else POLICY
            await stream.close(ClosedError(code, refused.code, refused.text))
        finally:
            self._counters.n_streams -= 1
            self._n_answers -= promised
            stream.drop()

    def _read(self, socket: WebSocket) -> Callable[[int], Open]:
        """Return the question that opens a stream, but for its number. Raises RequestError."""
        options = read_options(socket, _OPTIONS)
        first = {name: values[0] for name, values in options.items()}
        model = first.get("model", next(iter(self._settings.models)))
        if model not in self._settings.models:
            known = ", ".join(self._settings.models)
            raise RequestError("options", f"no model '{model}'; known models: {known}.")
        form = first.get("format", "s16")
        if form not in BYTES:
            raise RequestError("options", f"format is '{form}'; expected s16 or f32.")
        rate = _within(first, "rate", 16_000, *_RATES)
        window = _within(first, "window", 3.0, 0.5, 30.0)
        hop = _within(first, "hop", min(1.0, window), 0.25, window)
        self._check_room(1 / hop)
        number = next(self._numbers)
        labels = first.get("labels")
        return lambda n: Open(n, number, model, int(rate), form, window, hop, labels)

    def _check_room(self, n_answers: float) -> None:
        """Refuse a stream of so many answers a second that would make those of others late.

        As many as there are children are taken in any case: what an answer takes is learnt of them.
        """
        n_streams, pool = self._counters.n_streams, self._pool
        full = n_streams >= self._settings.max_streams or pool.behind
        if full or (n_streams >= pool.n_ready and not pool.can_keep(self._n_answers + n_answers)):
            raise RequestError("busy", "too many streams already. Try again in a moment.")


def _within(options: dict[str, str], name: str, usual: float, low: float, high: float) -> float:
    text = options.get(name)
    try:
        value = usual if text is None else float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise RequestError("options", f"{name} is '{text}'; expected {low:g} to {high:g}.")
    return value


def stream_route(streams: Streams) -> WebSocketRoute:
    """Return the route of live audio."""
    return WebSocketRoute("/v1/stream", streams.serve)
