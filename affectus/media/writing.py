"""Recordings to files: sound, and films of pictures and sound."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile

from affectus.media.frames import Frame
from affectus.media.recording import SAMPLE_RATE, Waveform
from affectus.media.video import FRAME_RATE


def write_audio(path: Path | str, waveform: Waveform, sample_rate: int = SAMPLE_RATE) -> None:
    """Write a waveform [T], −1 to 1, as 16-bit sound; the ending names the format (wav, flac)."""
    soundfile.write(str(path), waveform, sample_rate, subtype="PCM_16")


def write_video(
    path: Path | str,
    frames: Iterable[Frame],
    waveform: Waveform | None = None,
    *,
    rate: float = FRAME_RATE,
    sample_rate: int = SAMPLE_RATE,
) -> None:
    """Write a film as H.264 and AAC: pictures of one even size, `rate` a second, and their sound.

    Both begin at 0. Without a waveform the film is silent.
    """
    import av

    with av.open(str(path), "w") as media:
        every = Fraction(rate).limit_denominator(1001)
        # Without looking ahead, and by one thread: otherwise x264 writes other bytes each time.
        options = {"crf": "18", "preset": "ultrafast"}
        pictures = media.add_stream("libx264", rate=every, options=options)
        pictures.pix_fmt, pictures.thread_count = "yuv420p", 1
        sound = None
        if waveform is not None:
            sound = media.add_stream("aac", rate=sample_rate, layout="mono")
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame.colour, format="rgb24")
            if number == 0:
                pictures.height, pictures.width = picture.height, picture.width
            picture.pts, picture.time_base = number, 1 / every
            media.mux(pictures.encode(picture))
        media.mux(pictures.encode(None))
        if sound is not None and waveform is not None:
            heard = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(waveform)[None], format="flt", layout="mono"
            )
            heard.sample_rate = sample_rate
            fit = av.AudioResampler(sound.format, "mono", sample_rate, frame_size=1024)
            for piece in [*fit.resample(heard), *fit.resample(None)]:
                media.mux(sound.encode(piece))
            media.mux(sound.encode(None))
