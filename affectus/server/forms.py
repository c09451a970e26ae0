"""A multipart form in memory: the recordings in it, under limits, and nothing else."""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from affectus.server.replies import RequestError

MAX_FILES = 20
_MAX_PARTS = 40
_MAX_BOUNDARY = 70  # characters: RFC 2046, 5.1.1
_MAX_PREAMBLE = 1_024  # bytes before the first part
_MAX_NAME = 255  # characters of a file's name that are kept


class _Parts:
    """Collects the parts that have a file name; refuses too many."""

    def __init__(self) -> None:
        self.files: list[tuple[str, bytes]] = []
        self._n_parts = 0
        self._field = self._value = b""
        self._name: str | None = None
        self._pieces: list[bytes] = []

    def begin(self) -> None:
        self._n_parts += 1
        if self._n_parts > _MAX_PARTS:
            raise RequestError("form", f"more than {_MAX_PARTS} parts; expected a few recordings.")
        self._name, self._pieces = None, []

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            name = parse_options_header(self._value)[1].get(b"filename")
            if name is not None:
                self._name = name.decode("utf-8", "replace")[:_MAX_NAME] or "recording"
        self._field = self._value = b""

    def data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def end(self) -> None:
        if self._name is None:
            return
        if len(self.files) == MAX_FILES:
            raise RequestError(
                "form", f"more than {MAX_FILES} recordings; expected fewer at a time."
            )
        self.files.append((self._name, b"".join(self._pieces)))


def read_form(content_type: str, body: bytes) -> list[tuple[str, bytes]]:
    """Return (file name, content) of each recording in a multipart body.

    Fields that are no files are passed over. Raises RequestError for a form that is malformed or
    has no recording.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not 0 < len(boundary) <= _MAX_BOUNDARY:
        raise RequestError("form", "a form without a boundary; expected one of 1 to 70 characters.")
    if body.find(b"--" + boundary, 0, _MAX_PREAMBLE + len(boundary) + 2) < 0:
        raise RequestError("form", "no part begins where it should; expected the boundary.")
    parts = _Parts()
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": parts.begin,
            "on_header_field": parts.header_field,
            "on_header_value": parts.header_value,
            "on_header_end": parts.header_end,
            "on_part_data": parts.data,
            "on_part_end": parts.end,
        },
    )
    try:
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise RequestError("form", "cannot be read as a multipart form; expected one.") from None
    if not parts.files:
        raise RequestError("form", "no recording in the form; expected a part with a file name.")
    return parts.files
