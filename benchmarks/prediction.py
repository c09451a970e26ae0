"""From file to answer: one clip warm, a thousand clips, an hour; beside librosa and torch eager.

Ours is the model that ships. The peer is what a notebook does: librosa reads at 16 kHz and takes a
log-mel, untrimmed, and a default crnn runs in torch eager; it detects no speech and checks nothing.
The shipped network alone stands beside the same layers in torch eager. Both have one thread; the
first rows are on one processor.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import librosa
import numpy as np
import onnx
import soundfile
import torch
from numpy.typing import NDArray

from affectus import models
from affectus.console import print_table
from affectus.model_folder import PRETRAINED
from affectus.models import Inputs
from affectus.predictor import Prediction, Predictor, load_model
from affectus.predictor.speech import find_detector
from affectus.synthesis import synthesize_voice
from benchmarks.fresh import write_model
from benchmarks.timing import alternate, run_process, with_single_threads

RATE = 48_000
ROUNDS, N_CLIPS, N_VOICES = 60, 1_000, 24


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = PRETRAINED / "voice"
        write_model(folder / "model")
        peer = Peer(folder / "model")
        clips = write_clips(folder)
        processors = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(processors)})
        rows = one_clip(path, clips[0], peer)
        os.sched_setaffinity(0, processors)
        rows += [
            *thousand_clips(path, clips, peer),
            *an_hour(path, folder, clips),
        ]
    columns = ("what", "ours", "peer", "peer / ours")
    print_table(columns, rows, title=f"prediction with the model '{path.name}'")


def write_clips(folder: Path) -> list[Path]:
    """Write voices as clips of 3.7 s at 48 kHz, half a second of silence before each."""
    rng = np.random.default_rng(0)
    emotions = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
    clips = []
    for number in range(N_VOICES):
        emotion = emotions[number % len(emotions)]
        voice = synthesize_voice(emotion, speaker=number, sample_rate=RATE)
        wave = rng.normal(0, 1e-4, int(3.7 * RATE))
        voice = np.concatenate([voice, voice])[: len(wave) - RATE // 2]
        wave[RATE // 2 : RATE // 2 + len(voice)] += voice
        clips.append(folder / f"{number:02}.wav")
        soundfile.write(clips[-1], wave, RATE, subtype="PCM_16")
    return clips


class Peer:
    """librosa's front end and torch eager, as a notebook would have it."""

    def __init__(self, folder: Path) -> None:
        self.network, _ = models.load(folder / "weights.safetensors")
        self.network.eval()
        self.settings = dict(load_model(folder, speech="off").facts.extractor)

    def frames(self, path: Path) -> NDArray[np.float32]:
        s = self.settings
        wave, rate = librosa.load(path, sr=s["sample_rate"])
        mel = librosa.feature.melspectrogram(
            y=wave, sr=rate, n_fft=s["n_fft"], win_length=s["win_length"],
            hop_length=s["hop_length"], n_mels=s["n_mels"], fmin=s["f_min"], fmax=s["f_max"],
            center=False,
        )  # fmt: skip
        found: NDArray[np.float32] = librosa.power_to_db(mel, top_db=None).T.copy()
        return found

    @torch.no_grad()
    def predict(self, path: Path) -> NDArray[np.float32]:
        frames = torch.from_numpy(self.frames(path))
        logits: NDArray[np.float32] = self.network(
            Inputs(frames[None], torch.tensor([len(frames)]))
        ).numpy()
        return logits


def one_clip(folder: Path, clip: Path, peer: Peer) -> list[tuple[str, str, str, str]]:
    rows = []
    energy = load_model(folder, speech="energy")
    detectors = {"a gate over levels": energy}
    if _has_silero():
        detectors["Silero's detector"] = load_model(folder, speech="silero")
    for name, model in detectors.items():

        def predict(model: Predictor = model) -> Prediction:
            return model.predict(clip)

        assert predict().scores, "a clip without speech measures nothing"
        ours, theirs, ratio = alternate(predict, lambda: peer.predict(clip), ROUNDS)
        what = f"one 3.7 s clip of 48 kHz, warm, one core, {name}"
        rows.append((what, f"{ours * 1e3:.1f} ms", f"{theirs * 1e3:.1f} ms", f"{ratio:.1f}"))
    row = energy.extractor(soundfile.read(clip, dtype="float32")[0][::3].copy(), 16_000)
    same = read_eager(folder / "model.onnx")
    given = torch.from_numpy(row)
    tempered = same(given).numpy()[0] / energy.facts.temperature
    assert np.allclose(energy._network.logits([row])[0], tempered, atol=1e-3)
    ours, theirs, ratio = alternate(
        lambda: energy._network.logits([row]), lambda: same(given), ROUNDS
    )
    what = "its network alone, beside the same in torch eager"
    rows.append((what, f"{ours * 1e3:.2f} ms", f"{theirs * 1e3:.2f} ms", f"{ratio:.1f}"))
    return rows


def _has_silero() -> bool:
    return type(find_detector("auto", 16_000)).__name__ == "SileroDetector"


def read_eager(path: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the shipped graph's layers in torch, from a row of functionals [1, D] to logits."""
    weights = {
        found.name: torch.from_numpy(onnx.numpy_helper.to_array(found).copy()).float()
        for found in onnx.load(path).graph.initializer
    }

    groups = [name.removeprefix("columns_") for name in weights if name.startswith("columns_")]
    columns = {n: weights[f"columns_{n}"].long() for n in groups}

    @torch.no_grad()
    def run(row: torch.Tensor) -> torch.Tensor:
        scaled = (row - weights["mean"]) / weights["deviation"]
        scaled = scaled.clamp(weights["lowest"], weights["highest"])
        logits = torch.zeros(())
        for n in groups:
            summed = scaled[:, columns[n]] @ weights[f"hidden_half_{n}"]
            hidden = torch.nn.functional.silu(summed + weights[f"hidden_bias_{n}"])
            logits = logits + hidden @ weights[f"out_{n}"] + weights[f"out_bias_{n}"]
        return logits

    return run


def thousand_clips(folder: Path, clips: list[Path], peer: Peer) -> list[tuple[str, str, str, str]]:
    models = {"a gate over levels": load_model(folder, speech="energy")}
    if _has_silero():
        models["Silero's detector"] = load_model(folder, speech="silero")
    many = (clips * (N_CLIPS // len(clips) + 1))[:N_CLIPS]
    began = time.perf_counter()
    for clip in many[: N_CLIPS // 10]:
        peer.predict(clip)
    theirs = (N_CLIPS // 10) / (time.perf_counter() - began)
    rows = []
    for (name, model), workers in product(models.items(), (1, 2)):

        def predict(model: Predictor = model, workers: int = workers) -> None:
            assert sum(1 for _ in model.predict_many(many, workers=workers)) == N_CLIPS

        ours = N_CLIPS / seconds_of(predict)
        how = "2 processes" if workers == 2 else "1 process"
        what = f"{N_CLIPS:,} clips, {how}, {name}; peer one by one"
        rows.append((what, f"{ours:.0f} clips/s", f"{theirs:.0f} clips/s", f"{ours / theirs:.1f}"))
    return rows


def seconds_of(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


_LIBROSA = """
import sys, librosa
wave, rate = librosa.load(sys.argv[1], sr=16_000)
librosa.power_to_db(librosa.feature.melspectrogram(y=wave, sr=rate, n_fft=512, hop_length=256))
"""


def an_hour(folder: Path, place: Path, clips: list[Path]) -> list[tuple[str, str, str, str]]:
    hour = place / "hour.wav"
    pieces = [soundfile.read(clip, dtype="int16")[0] for clip in clips]
    with soundfile.SoundFile(hour, "w", RATE, 1, "PCM_16") as file:
        while file.frames < 3_600 * RATE:
            file.write(pieces[(file.frames // len(pieces[0])) % len(pieces)])
    command = ["-m", "affectus", "predict", str(hour), "--model", str(folder)]
    ours = run_process([sys.executable, *command, "--max-seconds", "4000"])
    theirs = run_process([sys.executable, "-c", _LIBROSA, str(hour)])
    what = "an hour of 48 kHz, cold; the peer is librosa's log-mel alone"
    ours_text, theirs_text = (f"{s:.1f} s, {mb:.0f} MB" for s, mb in (ours, theirs))
    return [(what, ours_text, theirs_text, f"{theirs[0] / ours[0]:.1f}")]


if __name__ == "__main__":
    with_single_threads()
    main()
