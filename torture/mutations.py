"""Damage done to a file's bytes: bits, lengths, cuts, pieces of others; the same for a seed."""

from __future__ import annotations

import re
import struct
import zlib
from random import Random

# Four letters name a chunk of RIFF, AIFF, CAF, a box of MP4; a length stands before or after them.
_NAMES = re.compile(rb"[A-Za-z][A-Za-z0-9 ]{3}")
_LENGTHS = ("<H", ">H", "<I", ">I", "<Q", ">Q", "B")
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def mutate(data: bytes, others: list[bytes], random: Random) -> bytes:
    """Return `data` changed one to four times; `others` are what pieces are taken from."""
    for _ in range(random.choice((1, 1, 2, 4))):
        data = random.choice(_KINDS)(data, others, random)
    if data.startswith(b"OggS") and random.random() < 0.8:
        data = with_page_sums(data)  # else every change ends at the sum of its page
    return data


def _place(data: bytes, random: Random) -> int:
    """Return a place, as often in the first 256 bytes as in all others."""
    last = max(1, len(data))
    return random.randrange(min(256, last)) if random.random() < 0.5 else random.randrange(last)


def _put(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _flip_bits(data: bytes, others: list[bytes], random: Random) -> bytes:
    changed = bytearray(data or b"\0")
    for _ in range(random.choice((1, 1, 4, 64))):
        changed[_place(data, random)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _set_bytes(data: bytes, others: list[bytes], random: Random) -> bytes:
    new = bytes([random.choice((0, 1, 0x7F, 0x80, 0xFF))]) * random.choice((1, 2, 4, 8, 64))
    return _put(data, _place(data, random), new)


def _number(form: str, now: int, random: Random) -> bytes:
    """Return a number near `now`, or near a power of two, in that form."""
    most = 256 ** struct.calcsize(form) - 1
    value = random.choice((now, 1 << random.randrange(65), random.randrange(most + 1)))
    return struct.pack(form, (value + random.choice((-1, 0, 1, 8))) & most)


def _set_number(data: bytes, others: list[bytes], random: Random) -> bytes:
    """Change what may be a number anywhere."""
    form, at = random.choice(_LENGTHS), _place(data, random)
    now = data[at : at + struct.calcsize(form)]
    if len(now) < struct.calcsize(form):
        return data
    return _put(data, at, _number(form, struct.unpack(form, now)[0], random))


def _set_length(data: bytes, others: list[bytes], random: Random) -> bytes:
    """Change the length that stands beside a name of four letters."""
    names = [found.start() for found in _NAMES.finditer(data)][:200]
    if not names:
        return _set_number(data, others, random)
    at = random.choice(names) + random.choice((-4, 4, 4, 8, 12))
    now = data[max(0, at) : at + 4]
    if at < 0 or len(now) < 4:
        return data
    form = random.choice(("<I", ">I"))
    return _put(data, at, _number(form, struct.unpack(form, now)[0], random))


def _rename(data: bytes, others: list[bytes], random: Random) -> bytes:
    """Give a chunk the name of another."""
    names = list(_NAMES.finditer(data))[:200]
    if len(names) < 2:
        return data
    return _put(data, random.choice(names).start(), random.choice(names).group())


def _cut(data: bytes, others: list[bytes], random: Random) -> bytes:
    return data[: _place(data, random)]


def _stretch(data: bytes, random: Random) -> tuple[int, int]:
    at = _place(data, random)
    return at, min(len(data), at + random.choice((1, 2, 4, 16, 256, 4_096)))


def _leave_out(data: bytes, others: list[bytes], random: Random) -> bytes:
    start, end = _stretch(data, random)
    return data[:start] + data[end:]


def _repeat(data: bytes, others: list[bytes], random: Random) -> bytes:
    start, end = _stretch(data, random)
    return data[:end] + data[start:end] * random.choice((1, 2, 16)) + data[end:]


def _splice(data: bytes, others: list[bytes], random: Random) -> bytes:
    """Put the head of one file before the rest of another, or a piece of it inside."""
    other = random.choice(others)
    if random.random() < 0.5:
        return data[: _place(data, random)] + other[_place(other, random) :]
    start, end = _stretch(other, random)
    at = _place(data, random)
    return data[:at] + other[start:end] + data[at:]


_KINDS = (
    _flip_bits, _flip_bits, _set_bytes, _set_number, _set_length, _set_length, _rename, _cut,
    _leave_out, _repeat, _splice,
)  # fmt: skip


def with_page_sums(data: bytes) -> bytes:
    """Return an Ogg's bytes with the check sum of every page put right (RFC 3533, section 6).

    The sum is the CRC of 0x04C11DB7 from the highest bit on; zlib has the same from the lowest.
    """
    pages = data.split(b"OggS")
    for number, page in enumerate(pages[1:], 1):
        if len(page) < 22:
            continue
        whole = b"OggS" + page[:18] + bytes(4) + page[22:]
        mirrored = zlib.crc32(whole.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
        total = int(f"{mirrored:032b}"[::-1], 2)
        pages[number] = page[:18] + struct.pack("<I", total) + page[22:]
    return b"OggS".join(pages)
