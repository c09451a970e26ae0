"""What a few unlabelled clips of a speaker are worth: UAR after k of them.

    affectus train experiments/ravdess-crnn.toml
    python experiments/adaptation.py runs/ravdess-crnn [--on test] [--grid]

For each fold and each of its dev (or, if asked for, test) speakers, k clips are drawn from half of
the speaker's clips and make a profile; the other half is answered with it, the same for every k.
Halves and clips are drawn anew ten times. `--grid` tries how strongly a profile is shrunk; choose
on dev alone.
"""

from __future__ import annotations

import argparse
import os

import numpy as np
import torch
from numpy.typing import NDArray

from affectus import models
from affectus.adaptation import MEAN_CLIPS, VARIANCE_CLIPS, adapt, learn
from affectus.batches import load_examples
from affectus.console import print_table
from affectus.manifest import Manifest
from affectus.metrics import confusion_matrix, uar
from affectus.models import Inputs
from affectus.runs import check_weights, open_run
from affectus.store import FeatureStore

COUNTS = (0, 1, 3, 5, 10, 20)
DRAWS = 10


def main() -> None:
    """Print a table of k and UAR."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--on", choices=("dev", "test"), default="dev")
    parser.add_argument("--grid", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    speakers = read_speakers(given.run, given.on)
    settings = [(MEAN_CLIPS, VARIANCE_CLIPS)]
    if given.grid:
        settings = [(m, v) for m in (0.5, 1.0, 2.0, 4.0) for v in (5.0, 20.0, 1e9)]
    rows = []
    for mean_clips, variance_clips in settings:
        scores = [measure(speakers, k, mean_clips, variance_clips) for k in COUNTS]
        rows.append((mean_clips, variance_clips, *scores))
    columns = ("mean", "variance", *(f"k = {k}" for k in COUNTS))
    print_table(columns, rows, title=f"{given.run}, {given.on}: UAR by clips of the speaker")


def read_speakers(folder: str, side: str) -> list[tuple[models.Network, list[NDArray], NDArray]]:
    """Return of each speaker: the fold's network, the clips' frames, their labels."""
    run = open_run(folder)
    clips = {clip.clip_id: clip for clip in Manifest.read(run.experiment.manifest)}
    found = []
    with FeatureStore(run.experiment.store) as store:
        for split in run.splits:
            network, _ = models.load(check_weights(run, split))
            network.eval()
            wanted = [clips[clip_id] for clip_id in split.side(side)]
            name = str(run.experiment.features["name"])
            examples = load_examples(wanted, store, name, run.experiment.scheme)
            for speaker in sorted({clip.speaker for clip in examples.clips}):
                rows = [n for n, clip in enumerate(examples.clips) if clip.speaker == speaker]
                frames = [examples.frames[n].numpy() for n in rows]
                found.append((network, frames, examples.labels[rows]))
    return found


def measure(
    speakers: list[tuple[models.Network, list[NDArray], NDArray]],
    k: int,
    mean_clips: float,
    variance_clips: float,
) -> float:
    """Return the UAR over all speakers and draws after k clips of each."""
    counts = 0
    for number, (network, frames, labels) in enumerate(speakers):
        mean, deviation = network.mean.numpy(), network.deviation.numpy()
        for draw in range(DRAWS if k else 1):
            order = np.random.default_rng((number, draw)).permutation(len(frames))
            known, asked = order[: len(frames) // 2], order[len(frames) // 2 :]
            if not k:
                asked = order
            clips = [frames[n] for n in asked]
            if k:
                profile = learn(frames[n] for n in known[:k])
                clips = [
                    adapt(clip, profile, mean, deviation,
                          mean_clips=mean_clips, variance_clips=variance_clips)
                    for clip in clips
                ]  # fmt: skip
            predicted = predict(network, clips)
            counts = counts + confusion_matrix(labels[asked], predicted, int(labels.max()) + 1)
    return float(uar(counts))


@torch.no_grad()
def predict(network: models.Network, clips: list[NDArray]) -> NDArray[np.intp]:
    """Return the best label of each clip."""
    order = sorted(range(len(clips)), key=lambda n: len(clips[n]))
    found = np.zeros(len(clips), np.intp)
    for first in range(0, len(order), 16):
        batch = order[first : first + 16]
        voice = torch.nn.utils.rnn.pad_sequence(
            [torch.from_numpy(clips[n]) for n in batch], batch_first=True
        )
        lengths = torch.tensor([len(clips[n]) for n in batch])
        found[batch] = network(Inputs(voice, lengths)).argmax(1).numpy()
    return found


if __name__ == "__main__":
    main()
