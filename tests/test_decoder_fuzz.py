"""Recordings damaged at random through the decode gate; for ten minutes in `make torture`."""

import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from making import encode, tone

from affectus.errors import MediaError
from affectus.media import read_audio

sys.path.insert(0, str(Path(__file__).parent.parent))

from torture.careless import hear_carelessly
from torture.decoders import SEEDS, damaged, torture_decoders
from torture.mutations import mutate, with_page_sums

SEED = 11_824  # of ten recordings of every letter that the careless decoder knows


def test_every_damaged_recording_is_answered_or_refused_with_a_code(tmp_path):
    result = torture_decoders(tmp_path, seconds=0, seed=1, size=500, workers=1)
    assert result["recordings"] == 1_000
    assert result["faults"] == []
    assert all(re.fullmatch(r"ok|E1\d{3}", code) for code in result["codes"])
    assert result["codes"]["ok"] > 200 and len(result["codes"]) >= 12, "damage of many kinds"


def test_a_decoder_that_crashes_hangs_grows_prints_dawdles_or_raises_is_found_out(tmp_path):
    result = torture_decoders(
        tmp_path, seconds=0, size=5, workers=1, seed=SEED, limit=1, hangs=4, hear=hear_carelessly
    )
    seeds = [make() for make in SEEDS.values()]
    kinds = {damaged(SEED, number, seeds)[0][0] for number in range(10)}
    expected = {
        "a": "SIGSEGV", "c": "took more than 4 s", "f": " MiB", "m": "a note", "o": "took 1.1 s",
        "v": "ValueError",
    }  # fmt: skip
    assert kinds == expected.keys() | {"r", "w"}, "else another seed is needed"
    said = "\n".join(result["faults"])
    for letter, fault in expected.items():
        assert re.search(rf"\({letter}.*\): .*{re.escape(fault)}", said), fault


def test_the_same_number_is_the_same_damage():
    seeds = [make() for make in SEEDS.values()]
    assert damaged(3, 5, seeds) == damaged(3, 5, seeds)
    assert len({damaged(3, number, seeds)[1] for number in range(50)}) > 45


def test_page_sums_are_those_that_libogg_writes():
    whole = encode(tone(), "OGG", "VORBIS")
    assert with_page_sums(whole) == whole
    wrong = whole[:22] + b"\1\2\3\4" + whole[26:]
    assert with_page_sums(wrong) == whole


def test_damage_is_done_to_files_of_any_length():
    for length in range(12):
        for number in range(40):
            mutate(bytes(length), [b"", b"RIFF"], Random(number))


def test_a_damaged_mp3_is_told_in_our_line_alone(tmp_path):
    damaged = bytearray(encode(tone(), "MP3"))
    damaged[900:1_000] = bytes(100)
    (tmp_path / "damaged.mp3").write_bytes(damaged)
    program = (
        "import ctypes, sys; from affectus.media import read_audio\n"
        "print(read_audio(sys.argv[1]).codec)\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.perror(b'after')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "damaged.mp3"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.strip() == "mpeg_layer_iii"
    # libmpg123 said nothing; C code of others may say what it has to again.
    assert re.fullmatch(r"after: .*\n", done.stderr)


def test_a_film_that_seems_to_begin_a_stream_late_is_refused_in_a_line():
    # Found by `python -m torture decoders`: PyAV knows the streams of the beginning alone.
    kind, data = damaged(0, 84_755, [make() for make in SEEDS.values()])
    assert kind == "flv"
    with pytest.raises(MediaError, match="a stream of it begins late; expected readable flv"):
        read_audio(data)
