"""From a film's bytes to faces cut out and upright, one core: beside OpenCV's detector alone.

The films are synthetic, one person each, H.264 at 30 pictures a second; `--films` times films of
one's own. Both decode; the other one makes each picture 320 pixels wide, evens it out and looks for
faces in all of it, and neither follows nor cuts out. Processor time and wall time, since a busy
machine changes only the second. `--minutes` adds the memory of a film of that length.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from affectus.console import print_table
from affectus.face_rows import split_rows
from affectus.features import FaceExtractor, create_extractor, sees
from affectus.media import Limits, open_video
from affectus.synthesis.face import draw_faces
from benchmarks.timing import on_one_core, run_process

SIZES = ((480, 360), (1280, 720))
Image = NDArray[np.uint8]
RATE, N_DRAWN, N_TIMES, ROUNDS = 30, 30, 5, 3
DETECTOR_WIDTH = 320

_EXTRACT = """
import sys
from affectus.features import create_extractor
from affectus.media import Limits, open_video
with open_video(sys.argv[1], rate=15, limits=Limits(max_seconds=10_000)) as film:
    print(len(create_extractor("face_crops")(film)))
"""


def main() -> None:
    """Print a table of speeds, and one of memory if it was asked for."""
    on_one_core()
    cv2.setNumThreads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=Path, nargs="+", help="films to time instead")
    parser.add_argument("--minutes", type=float, nargs="*", default=[], help="memory of such films")
    given = parser.parse_args()
    films = [(path.name, path.read_bytes()) for path in given.films or ()]
    if not films:
        films = [(f"{width}x{height}", draw_film(width, height)) for width, height in SIZES]
    extractor = create_extractor("face_crops", rate=60.0)
    assert sees(extractor)
    rows: list[tuple[object, ...]] = []
    for name, data in films:
        ours, theirs = [], []
        for _ in range(ROUNDS):  # in turn, so that a slow spell hits both
            ours.append(timed(lambda data=data: cut_out(data, extractor)))  # type: ignore[misc]
            theirs.append(timed(lambda data=data: detect_in_all(data)))  # type: ignore[misc]
        for what, found in (("affectus", ours), ("detector on each frame", theirs)):
            n_frames, n_faces = found[0][2]
            processor, wall = min(one[0] for one in found), min(one[1] for one in found)
            rows.append((name, what, n_frames, n_faces / n_frames, n_frames / processor,
                         n_frames / wall))  # fmt: skip
    print_table(
        ("film", "by", "frames", "with a face", "frames a processor second", "a second"), rows,
        title="decode to crop, one core, the best of three",
    )  # fmt: skip
    if given.minutes:
        print_memory(given.minutes)


def draw_film(width: int, height: int, n_times: int = N_TIMES) -> bytes:
    """Return an mp4 of one person, drawn once and shown forwards and backwards in turn."""
    drawn = [frame.colour for frame in draw_faces("happy", N_DRAWN, speaker=1, rate=RATE,
                                                  size=(height, width))]  # fmt: skip
    return write_film([*drawn, *drawn[::-1]] * n_times, RATE)


def write_film(pictures: list[Image], rate: int) -> bytes:
    """Return an mp4 of pictures [H, W, 3] RGB."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as media:
        stream = media.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for place, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = place, Fraction(1, rate)
            media.mux(stream.encode(frame))
        media.mux(stream.encode(None))
    return file.getvalue()


Counts = tuple[int, int]


def timed(call: Callable[[], Counts]) -> tuple[float, float, Counts]:
    """Return processor seconds, wall seconds and what the call counted."""
    processor, wall = time.process_time(), time.perf_counter()
    counts = call()
    return time.process_time() - processor, time.perf_counter() - wall, counts


def cut_out(data: bytes, extractor: FaceExtractor) -> Counts:
    """Return how many frames there are, and how many have a face, by this package."""
    with open_video(data, rate=None) as film:
        found = split_rows(extractor(film)).found
    return len(found), int(found.sum())


def detect_in_all(data: bytes) -> Counts:
    """Return the same by OpenCV's detector on each frame."""
    folder = Path(cv2.__file__).parent / "data"
    cascade = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_default.xml"))
    n_frames = n_faces = 0
    with open_video(data, rate=None) as film:
        for frame in film:
            luma = frame.luma
            height = round(luma.shape[0] * DETECTOR_WIDTH / luma.shape[1])
            small = cv2.resize(luma, (DETECTOR_WIDTH, height), interpolation=cv2.INTER_AREA)
            faces = cascade.detectMultiScale(cv2.equalizeHist(small), 1.1, 4, minSize=(32, 32))
            n_frames += 1
            n_faces += len(faces) > 0
    return n_frames, n_faces


def print_memory(minutes: list[float]) -> None:
    """Print the peak memory of cutting faces out of films of some lengths."""
    picture = next(iter(draw_faces("happy", 1, speaker=1, size=(360, 480)))).colour
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.mp4"
        for length in minutes:
            path.write_bytes(write_film([picture] * round(length * 60 * 15), 15))
            assert path.stat().st_size < Limits().max_bytes
            seconds, megabytes = run_process([sys.executable, "-c", _EXTRACT, str(path)])
            rows.append((length, seconds, megabytes))
    print_table(("minutes", "seconds", "peak MB"), rows, title="480x360, 15 frames a second")


if __name__ == "__main__":
    main()
