"""The plainest request for an answer, read by one pattern: what a full service refuses most.

Three times as many recordings as can be answered must not cost the answers. A refusal through h11,
a task and the routes' gate took 0.28 ms of the server; read here, remembered and written in one
piece it takes a quarter, most of it to receive a body that is thrown away. Whatever is not plain
goes the long way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from affectus.server.replies import error_bytes, error_headers, status_of

_MOST_BODY = 1 << 20  # bytes that are worth throwing away to keep a connection
_MOST_HEAD = 4_096
_REMEMBERED = 256  # heads: those of one client differ by the length of what it sends alone
_HEAD = re.compile(
    rb"POST /v1/predict(?:\?[!-~]*)? HTTP/1\.1\r\n((?:[0-9A-Za-z-]+:[\t -~]*\r\n){1,40})\r\n"
)
_NUMBER = "0-0"
_LENGTH = re.compile(rb"[0-9]{1,7}")
_LONG_WAY = {b"transfer-encoding", b"content-encoding", b"connection", b"upgrade", b"expect"}


class Head(NamedTuple):
    """The head of a request for an answer: its headers, its own size, and that of the body."""

    headers: tuple[tuple[bytes, bytes], ...]
    n_bytes: int
    n_body: int


class Form(NamedTuple):
    """A reply that is written but for the number in its body and some headers."""

    start: bytes
    before: bytes  # of the body, the number
    behind: bytes

    def fill(self, number: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Return the reply as it goes over the wire."""
        lines = b"".join([b"%b: %b\r\n" % pair for pair in headers])
        n_bytes = len(self.before) + len(number) + len(self.behind)
        length = b"content-length: %d\r\n\r\n" % n_bytes
        return b"".join((self.start, lines, length, self.before, number, self.behind))


@lru_cache(4)
def make_form(code: str, text: str) -> Form:
    """Return the form of a refusal in the service's own words."""
    status = HTTPStatus(status_of(code))
    headers = [*error_headers(code).items(), ("content-type", "application/json")]
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{k}: {v}" for k, v in headers), ""]
    before, _, behind = error_bytes(code, text, _NUMBER).rpartition(_NUMBER.encode())
    return Form("\r\n".join(lines).encode(), before, behind)


def read_head(data: bytes) -> Head | None:
    """Return the head that `data` begins with; None for one that must be read in full."""
    end = data.find(b"\r\n\r\n", 0, _MOST_HEAD) + 4
    return _read(data[:end]) if end > 4 else None


@lru_cache(_REMEMBERED)
def _read(data: bytes) -> Head | None:
    match = _HEAD.fullmatch(data)
    if match is None:
        return None
    headers: list[tuple[bytes, bytes]] = []
    for line in match[1].split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        headers.append((name.lower(), value.strip(b" \t")))
    names = [name for name, _ in headers]
    if _LONG_WAY.intersection(names) or names.count(b"host") != 1:
        return None
    lengths = [value for name, value in headers if name == b"content-length"]
    if len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]) or int(lengths[0]) > _MOST_BODY:
        return None
    return Head(tuple(headers), len(data), int(lengths[0]))
