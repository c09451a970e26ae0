"""A tiny corpus, extracted and trained in a second or two, for tests of what comes after."""

import numpy as np

from affectus.corpora import load_corpus
from affectus.experiment import make_experiment
from affectus.extraction import extract_features
from affectus.features import create_extractor
from affectus.media import write_audio

PITCHES = {"neutral": 300, "happy": 700, "sad": 1500, "angry": 3000}  # Hz: easy to tell apart
N_SPEAKERS = 6


def write_tones(folder, n_takes=3):
    """Write tones as files `spk0/happy_0.wav` and a table of them; return the table's path."""
    rng = np.random.default_rng(0)
    rows = ["file,emotion,speaker,sex"]
    for speaker in range(N_SPEAKERS):
        (folder / f"spk{speaker}").mkdir(parents=True)
        for emotion, pitch in PITCHES.items():
            for take in range(n_takes):
                seconds = np.arange(int(16_000 * rng.uniform(0.4, 0.6))) / 16_000
                tone = np.sin(2 * np.pi * pitch * (1 + 0.02 * speaker) * seconds)
                noise = rng.normal(0, 0.03, len(seconds))
                file = f"spk{speaker}/{emotion}_{take}.wav"
                write_audio(folder / file, (0.3 * tone + noise).astype(np.float32))
                rows.append(f"{file},{emotion},{speaker},{'mf'[speaker % 2]}")
    table = folder / "tones.csv"
    table.write_text("\n".join(rows) + "\n")
    return table


def prepare(folder, **changes):
    """Import and extract the tones; return an experiment on them, changed as asked."""
    manifest = load_corpus("table", write_tones(folder / "recordings"))
    manifest.write(folder / "manifest.csv")
    report = extract_features(
        manifest, create_extractor("logmel", n_mels=32, f_max=6_000.0), folder / "store"
    )
    assert report.ok
    content = {
        "name": "tones",
        "manifest": str(folder / "manifest.csv"),
        "store": str(folder / "store"),
        "labels": {"scheme": "four"},
        "features": {"name": "logmel", "n_mels": 32, "f_max": 6_000.0},
        "split": {"protocol": "sequential-6fold", "folds": [1, 2]},
        "model": {"name": "crnn", "channels": [8, 8, 8], "n_hidden": 8, "n_attention": 8},
        "training": {"epochs": 12, "batch_size": 8, "learning_rate": 0.02, "average": 0.8},
    }
    return make_experiment({**content, **changes})
