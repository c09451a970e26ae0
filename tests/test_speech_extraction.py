"""Speech encoders through the extraction engine: in batches by length, and killed on the way.

Run as a program, this file is the process that is killed.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers", reason="needs the extra 'speech'")

import torch
from small_encoders import write_encoder

from affectus import store as store_module
from affectus.extraction import extract_features
from affectus.features import create_extractor
from affectus.features.speech import WavLM
from affectus.manifest import Clip, Manifest, with_hashes
from affectus.media import read_audio, write_audio
from affectus.store import FeatureStore

N_CLIPS = 9


def write_clips(folder):
    """Write noises of unequal lengths and return their manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    for number in range(N_CLIPS):
        path = folder / f"{number:04d}.wav"
        rng = np.random.default_rng(number)
        write_audio(path, rng.normal(0, 0.1, 5_000 + 3_100 * (number % 4)).astype(np.float32))
        clips.append(Clip(f"own/{number:04d}", "own", str(path), f"own:{number % 3}", "happy"))
    return with_hashes(Manifest(tuple(clips)))


def shards_of(folder):
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.safetensors")}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with clips and an encoder."""
    place = tmp_path_factory.mktemp("speech")
    write_clips(place / "clips")
    write_encoder(place / "wavlm", "wavlm")
    return place


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(store_module, "SHARD_SIZE", 4)


pytestmark = pytest.mark.usefixtures("one_thread")


def extractor_of(place):
    return create_extractor("wavlm", model=str(place / "wavlm"), layer=2, pooling="none")


def test_clips_are_computed_in_batches_and_kept_as_their_own(place, tmp_path, monkeypatch):
    sizes = []
    many = WavLM.many
    monkeypatch.setattr(
        WavLM, "many", lambda self, waves, rate: sizes.append(len(waves)) or many(self, waves, rate)
    )
    manifest = write_clips(place / "clips")
    report = extract_features(manifest, extractor_of(place), tmp_path / "store", workers=0)
    assert report.ok
    assert sizes == [4, 4, 1]  # shards of four, each of which is one batch
    with FeatureStore(tmp_path / "store") as store:
        for clip in manifest:
            recording = read_audio(clip.path)
            alone = extractor_of(place)(recording.waveform, recording.sample_rate)
            np.testing.assert_allclose(store.get("wavlm", clip.content_key), alone, atol=1e-5)


def test_a_batch_that_needs_too_much_memory_is_done_clip_by_clip(place, tmp_path, monkeypatch):
    many = WavLM.many

    def too_much(self, waves, rate):
        if len(waves) > 1:
            raise MemoryError
        return many(self, waves, rate)

    manifest = write_clips(place / "clips")
    monkeypatch.setattr(WavLM, "many", too_much)
    assert extract_features(manifest, extractor_of(place), tmp_path / "store", workers=0).ok


def test_a_clip_that_fails_does_not_take_its_batch_along(place, tmp_path):
    manifest = write_clips(tmp_path / "clips")
    manifest.clips[2].path.write_bytes(b"not a recording")
    report = extract_features(
        with_hashes(manifest), extractor_of(place), tmp_path / "store", workers=0
    )
    assert [failure.clip_id for failure in report.failed] == ["own/0002"]
    assert report.done == N_CLIPS - 1


def test_a_killed_extraction_goes_on_to_the_same_bytes(place, tmp_path):
    manifest = write_clips(place / "clips")
    extractor = extractor_of(place)
    assert extract_features(manifest, extractor, tmp_path / "clean", workers=0).ok
    command = [sys.executable, __file__, str(place), str(tmp_path / "killed")]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    with FeatureStore(tmp_path / "killed") as store:
        states = [item.state for item in store.ledger("wavlm")]
    assert 0 < states.count("done") < N_CLIPS
    report = extract_features(manifest, extractor, tmp_path / "killed", workers=0)
    assert report.ok and 0 < report.new < N_CLIPS
    assert shards_of(tmp_path / "killed") == shards_of(tmp_path / "clean")


def main(place, store):
    """Extract, and be killed when the first shard is safe."""
    store_module.SHARD_SIZE = 4
    torch.set_num_threads(1)
    extract_features(
        write_clips(Path(place) / "clips"),
        extractor_of(Path(place)),
        store,
        workers=0,
        on_progress=lambda *numbers: os.kill(os.getpid(), signal.SIGKILL),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
