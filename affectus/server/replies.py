"""The form of every reply that is not an answer, and what an error code means in HTTP."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from affectus.errors import escape

RETRY_AFTER = 1  # s

_STATUS = {
    "options": 400, "form": 400, "request": 400, "host": 421, "origin": 403, "token": 401,
    "not-found": 404, "method": 405, "slow": 408, "too-large": 413, "encoding": 415, "rate": 429,
    "headers": 431, "busy": 503, "lost": 503, "draining": 503,
    "E1002": 415, "E1109": 415, "E1501": 413, "E1502": 413, "E1603": 422, "E1604": 422,
    "E1605": 413,
}  # fmt: skip
_MAX_TEXT = 1_000  # characters of a sentence


class RequestError(Exception):
    """There is no answer: a stable code, and a sentence for the user."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(code, text)
        self.code, self.text = code, text


class ErrorBody(msgspec.Struct, frozen=True):
    """What went wrong: a stable code, a sentence, and a number to ask about it by."""

    code: str
    message: str
    id: str


class ErrorReply(msgspec.Struct, frozen=True):
    """The body of every reply whose status is 400 or more."""

    error: ErrorBody


def status_of(code: str) -> int:
    """Return the HTTP status of an error code; 400 for what is wrong with a recording."""
    return _STATUS.get(code, 400)


def error_bytes(code: str, text: str, request_id: str) -> bytes:
    """Return the JSON of an error."""
    message = escape(text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "…")
    return msgspec.json.encode(ErrorReply(ErrorBody(code, message, request_id)))


def error_headers(code: str) -> dict[str, str]:
    """Return the headers that go with an error."""
    headers = {"cache-control": "no-store"}
    if status_of(code) in (429, 503):
        headers["retry-after"] = str(RETRY_AFTER)
    if code == "token":
        headers["www-authenticate"] = "Bearer"
    if code in ("too-large", "slow"):
        headers["connection"] = "close"  # the rest of the body is not worth taking in
    return headers


def error_reply(refused: RequestError, request_id: str) -> Response:
    """Return the reply for a refusal."""
    return Response(
        error_bytes(refused.code, refused.text, request_id),
        status_code=status_of(refused.code),
        headers=error_headers(refused.code),
        media_type="application/json",
    )
