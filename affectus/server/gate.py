"""The gate before every route: who may ask, from where, how often, how much.

All of it is decided by the headers, before a byte of the body is taken in. What is refused costs
next to nothing, so that a flood of it leaves the useful work alone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import itertools
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any, TypeAlias

from affectus.console import say
from affectus.server.counters import Counters
from affectus.server.pool import Pool
from affectus.server.replies import RequestError, error_bytes, error_headers, status_of
from affectus.server.settings import Settings
from affectus.server.shedding import Form, Head, make_form

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN_PROTOCOL = "affectus.token."  # a page cannot send headers when it opens a WebSocket
_DEFAULT_RATE, _BURST = 10.0, 20.0  # requests a second, and at once, where others can reach us
_MAX_CLIENTS = 10_000
_JUDGED = 256  # heads whose judgement is remembered
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
_OPEN_PATHS = ("/health/live", "/health/ready")

NO_SNIFFING = (b"x-content-type-options", b"nosniff")
_HEADERS = [
    NO_SNIFFING,
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"microphone=(self), camera=(self), geolocation=()"),
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
        b"object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
]


class Gate:
    """An ASGI application that lets through to another what may pass."""

    def __init__(self, app: App, settings: Settings, pool: Pool, counters: Counters) -> None:
        self._app, self._settings, self._pool, self._counters = app, settings, pool, counters
        self._token = settings.token and hashlib.sha256(settings.token.encode()).digest()
        self._hosts = {"localhost", settings.host.lower().strip("[]")}
        self._hosts |= {name.lower().strip("[]") for name in settings.allowed_hosts}
        rate = settings.rate
        self._rate = (0.0 if settings.is_local else _DEFAULT_RATE) if rate is None else rate
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._salt = secrets.token_hex(3)
        self._numbers = itertools.count(1)
        self.draining = False
        self._is_let_in = lru_cache(_JUDGED)(self._judge_head)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = self._next_id()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        try:
            self._check(scope, headers)
        except RequestError as refused:
            await self._refuse(scope, send, refused, request_id, headers)
            return
        scope["state"]["request_id"] = request_id
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        await self._pass(scope, receive, send)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        n_left = self._settings.max_bytes

        async def take() -> MutableMapping[str, Any]:
            nonlocal n_left
            message = await receive()
            n_left -= len(message.get("body", b""))
            if n_left < 0:
                raise RequestError("too-large", self._too_large())
            return message

        async def give(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self._counters.requests[message["status"]] += 1
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        await self._app(scope, take, give)

    # --- who may pass --------------------------------------------------------------------------

    def _check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Raise RequestError for what may not pass; `headers` has the last of each name."""
        host = self._check_host(scope)
        self._check_origin(scope, headers, host)
        path = scope["path"]
        if path.startswith(("/v1/", "/metrics")):
            self._check_token(scope, headers)
            self._check_rate(scope)
        if self.draining and path not in _OPEN_PATHS:
            raise RequestError("draining", "the service is stopping. Try again in a moment.")
        if scope["type"] == "http" and scope["method"] == "POST":
            self._check_body(headers)
            if path == "/v1/predict" and self._pool.full:
                raise busy(self._pool)

    def _check_host(self, scope: Scope) -> str:
        """Return the host that was asked for. A page of elsewhere may name itself so: rebinding."""
        found = [value for name, value in scope["headers"] if name == b"host"]
        host = found[0].decode("latin-1").lower() if len(found) == 1 else ""
        match = _HOST.fullmatch(host)
        name = match[1].strip("[]") if match else ""
        if not match or int(match[2] or 0) > 65_535 or not self._knows(name):
            raise RequestError(
                "host", "not a name of this service; expected localhost or one of --allow-host."
            )
        return host

    def _knows(self, name: str) -> bool:
        if name in self._hosts:
            return True
        try:  # an address cannot be rebound; a name can
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._settings.is_local

    def _check_origin(self, scope: Scope, headers: dict[bytes, bytes], host: str) -> None:
        origin = headers.get(b"origin")
        site = headers.get(b"sec-fetch-site", b"none")
        if origin is None:
            asks = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
            fine = asks or site in (b"none", b"same-origin")
        else:
            fine = origin.decode("latin-1").lower() in (f"http://{host}", f"https://{host}")
        if not fine:
            raise RequestError(
                "origin", "a page of another site asks; expected this service's own."
            )

    def _check_token(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        if self._token is None:
            return
        given = b""
        scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer":
            given = value
        elif scope["type"] == "websocket":
            given = _token_of_protocols(scope.get("subprotocols", []))
        # Of hashes, so that the time says nothing of how much was right.
        if not hmac.compare_digest(hashlib.sha256(given).digest(), self._token or b""):
            raise RequestError(
                "token", "no token or a wrong one; expected Authorization: Bearer TOKEN."
            )

    def _check_rate(self, scope: Scope) -> None:
        """Take one from the client's bucket. Its address is the socket's; no header changes it."""
        if not self._rate:
            return
        client, now = scope["client"][0], time.monotonic()
        left, since = self._buckets.pop(client, (_BURST, now))
        left = min(_BURST, left + (now - since) * self._rate)
        self._buckets[client] = (left - (left >= 1), now)
        if len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)
        if left < 1:
            raise RequestError(
                "rate", f"more than {self._rate:g} requests a second; expected fewer. Wait."
            )

    def _check_body(self, headers: dict[bytes, bytes]) -> None:
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise RequestError("encoding", "a compressed body; expected the recording as it is.")
        if int(headers.get(b"content-length", b"0")) > self._settings.max_bytes:
            raise RequestError("too-large", self._too_large())

    def _too_large(self) -> str:
        return f"the body is larger than {self._settings.max_bytes:,} bytes. Cut the recording."

    # --- how it is told ------------------------------------------------------------------------

    @property
    def sheds(self) -> bool:
        """Whether no recording is taken now, so that `shed` may refuse it in short."""
        return self._pool.full and not self.draining

    def shed(self, head: Head, client: Any) -> tuple[Form, bytes] | None:
        """Return the reply and its number for a plain request for an answer that is one too many.

        None for one that is refused for another cause: it is judged as all others are.
        """
        try:
            if self._is_let_in(head.headers):
                self._check_rate({"client": client})
                self._count(503, "busy")
                return make_form("busy", busy(self._pool).text), self._next_id().encode()
        except RequestError:
            pass
        return None

    def _judge_head(self, headers: tuple[tuple[bytes, bytes], ...]) -> bool:
        """Whether a request for an answer passes all that is decided by its headers alone."""
        scope = {"type": "http", "method": "POST", "headers": headers}
        values = dict(headers)
        try:
            self._check_origin(scope, values, self._check_host(scope))
            self._check_token(scope, values)
            self._check_body(values)
        except RequestError:
            return False
        return True

    def _next_id(self) -> str:
        return f"{self._salt}-{next(self._numbers):x}"

    def _count(self, status: int, code: str) -> None:
        self._counters.requests[status] += 1
        self._counters.refused[code] += 1

    def _tell(self, refused: RequestError, request_id: str) -> tuple[int, Headers, bytes]:
        """Count a refusal; return its status, headers and body."""
        status = status_of(refused.code)
        self._count(status, refused.code)
        body = error_bytes(refused.code, refused.text, request_id)
        headers = [(k.encode(), v.encode()) for k, v in error_headers(refused.code).items()]
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        return status, [*headers, NO_SNIFFING], body

    async def _refuse(
        self,
        scope: Scope,
        send: Send,
        refused: RequestError,
        request_id: str,
        request_headers: dict[bytes, bytes],
    ) -> None:
        status, headers, body = self._tell(refused, request_id)
        kind = "http.response"
        if scope["type"] == "websocket":
            kind = "websocket.http.response"
        elif refused.code != "busy" or int(request_headers.get(b"content-length", b"0")) > 1 << 20:
            # Of a busy service's many clients each would have to connect anew.
            headers.append((b"connection", b"close"))
        await send({"type": f"{kind}.start", "status": status, "headers": headers})
        await send({"type": f"{kind}.body", "body": body})


def busy(pool: Pool) -> RequestError:
    """Return why a recording is not taken, and tell an operator what no client is told."""
    if not pool.n_ready:
        return RequestError("busy", "no worker is ready yet. Try again in a moment.")
    return RequestError("busy", "too many recordings wait already. Try again in a moment.")


def _token_of_protocols(protocols: list[str]) -> bytes:
    """Return the token that a page put among the WebSocket's subprotocols, in base64url."""
    for protocol in protocols:
        if protocol.startswith(TOKEN_PROTOCOL):
            text = protocol.removeprefix(TOKEN_PROTOCOL)
            try:
                return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            except (binascii.Error, ValueError):
                return b""
    return b""


def report(text: str) -> None:
    """Print a line for the operator; never with anything of a client's."""
    say(f"affectus serve: {text}")
