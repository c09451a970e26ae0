"""Speech encoders in batches of like length, beside plain transformers loops on the same model.

The model is a wav2vec 2.0 of the large kind with chance weights: 6 layers of 256, the usual seven
convolutions at 128 channels; one thread, one processor. Both give every layer's mean over a clip.
The peers are the two loops that one finds: one clip after the other, and batches of eight in the
order of the table, padded by the feature extractor, with an attention mask. That the numbers are
the same is checked. Wall seconds are of a busy machine; ratios are of processor time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from affectus.console import print_table
from affectus.features import create_extractor
from benchmarks.timing import on_one_core

RATE, N_CLIPS, BATCH, ROUNDS = 16_000, 32, 8, 2

Clips = list[NDArray[np.float32]]


def main() -> None:
    torch.set_num_threads(1)
    rows = []
    with TemporaryDirectory() as folder:
        model, processor = write_model(Path(folder))
        extractor: Any = create_extractor("xls-r", model=folder)
        for what, lengths in corpora().items():
            clips = noises(lengths)
            seconds = sum(map(len, clips)) / RATE

            def ours(clips: Clips = clips) -> list[NDArray[np.float32]]:
                groups = extractor.batches([len(clip) for clip in clips])
                found: dict[int, NDArray[np.float32]] = {}
                for group in groups:
                    made = extractor.many([clips[place] for place in group], RATE)
                    found.update(zip(group, made, strict=True))
                return [found[place][0] for place in range(len(clips))]

            def single(clips: Clips = clips) -> list[NDArray[np.float32]]:
                return [row for clip in clips for row in plain(model, processor, [clip])]

            def batched(clips: Clips = clips) -> list[NDArray[np.float32]]:
                starts = range(0, len(clips), BATCH)
                return [
                    row for at in starts for row in plain(model, processor, clips[at : at + BATCH])
                ]

            expected = ours()
            for peer in (single, batched):
                worst = max(np.abs(a - b).max() for a, b in zip(expected, peer(), strict=True))
                assert worst < 1e-4, f"another answer: {worst:.2g}"
            times = measure([ours, single, batched])
            for name, place in (("one by one", 1), (f"batches of {BATCH}, as they come", 2)):
                (mine, wall), (theirs, their_wall) = times[0], times[place]
                rows.append(
                    (what, name, f"{seconds / mine:.1f}", f"{seconds / theirs:.1f}",
                     f"{seconds / wall:.1f} / {seconds / their_wall:.1f}", f"{theirs / mine:.2f}")
                )  # fmt: skip
    columns = ("clips", "peer", "ours, s/s", "peer, s/s", "by wall", "peer's time / ours")
    print_table(columns, rows, title="seconds of sound a second of processor, 6 layers of 256")


def corpora() -> dict[str, NDArray[np.int_]]:
    """Lengths in samples: an acted corpus, and clips of what people say of their own accord."""
    rng = np.random.default_rng(0)
    podcast = np.clip(rng.lognormal(np.log(4.0), 0.6, N_CLIPS), 1.0, 15.0)
    return {
        f"{N_CLIPS} of 3.0 to 5.3 s": (rng.uniform(3.0, 5.3, N_CLIPS) * RATE).astype(int),
        f"{N_CLIPS} of {podcast.min():.1f} to {podcast.max():.1f} s": (podcast * RATE).astype(int),
    }


def noises(lengths: NDArray[np.int_]) -> Clips:
    rng = np.random.default_rng(1)
    return [(0.1 * rng.standard_normal(length)).astype(np.float32) for length in lengths]


def write_model(folder: Path) -> tuple[Any, Any]:
    """Write an encoder's files; return transformers' own model and feature extractor."""
    import transformers

    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=256, num_hidden_layers=6, num_attention_heads=4, intermediate_size=1024,
        conv_dim=[128] * 7, feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True,
    )  # fmt: skip
    model = transformers.Wav2Vec2Model(config).eval()
    processor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model, processor


@torch.inference_mode()
def plain(model: Any, processor: Any, clips: Clips) -> list[NDArray[np.float32]]:
    """Return every layer's mean [L D] of some clips, as their own frames give it."""
    inputs = processor(clips, sampling_rate=RATE, padding=True, return_tensors="pt")
    found = model(**inputs, output_hidden_states=True)
    states = [*found.hidden_states[:-1], found.last_hidden_state]
    lengths = model._get_feat_extract_output_lengths(inputs["attention_mask"].sum(1))
    return [
        torch.cat([state[row, :length].mean(0) for state in states]).numpy()
        for row, length in enumerate(lengths.tolist())
    ]


def measure(calls: list[Callable[[], object]]) -> list[tuple[float, float]]:
    """Return the best processor and wall seconds of each call, called in turn."""
    best = [(np.inf, np.inf)] * len(calls)
    for _ in range(ROUNDS):
        for place, call in enumerate(calls):
            wall, busy = time.perf_counter(), time.process_time()
            call()
            found = time.process_time() - busy, time.perf_counter() - wall
            best[place] = (min(best[place][0], found[0]), min(best[place][1], found[1]))
    return best


if __name__ == "__main__":
    on_one_core()
    main()
