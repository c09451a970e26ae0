"""Real corpora: run by `make test-corpora CORPORA=FOLDER`, skipped where the folder is absent."""

import os
from pathlib import Path

import pytest

from affectus.audit import audit_manifest
from affectus.corpora import expected_clips, load_corpus
from affectus.extraction import extract_features
from affectus.features import create_extractor
from affectus.splits import check_split, make_splits

pytestmark = pytest.mark.corpus


@pytest.fixture(scope="module")
def ravdess():
    folder = Path(os.environ.get("CORPORA", "corpora")) / "ravdess"
    if not folder.is_dir():
        pytest.skip(f"no {folder}; run: make test-corpora CORPORA=FOLDER")
    return load_corpus("ravdess", folder)


def test_every_file_is_understood(ravdess):
    assert [clip.fault for clip in ravdess if clip.fault] == []


def test_counts_are_those_of_identities(ravdess):
    # Livingstone and Russo (2018): 1,440 speech clips, 60 of each of 24 actors.
    expected = {clip.clip_id for clip in expected_clips(ravdess)}
    present = {clip.clip_id for clip in ravdess}
    assert len(expected) % 1_440 == 0 and present <= expected
    for speaker in ravdess.speakers:
        assert sum(clip.speaker == speaker for clip in ravdess) == 60


def test_the_audit_names_what_is_missing_and_the_identical_pair(ravdess):
    report = audit_manifest(ravdess, expected_clips(ravdess))
    messages = [finding.message for finding in report.findings]
    present = len(ravdess)
    print(*messages, sep="\n")
    if present < 1_440:
        absent = [f"ravdess:{n:02d}" for n in range(1, 25) if f"ravdess:{n:02d}" not in
                  ravdess.speakers]  # fmt: skip
        assert not report.ok
        assert f"ravdess: {present:,} of 1,440 clips" in messages[0]
        assert all(speaker in messages[0] for speaker in absent)
    # As published: actor 7's two takes of happy, normal, dogs are one recording.
    pair = "ravdess/03-01-03-01-02-01-07 = ravdess/03-01-03-01-02-02-07"
    assert any(pair in message for message in messages)
    assert not [f for f in report.findings if f.check in ("readable", "silent", "truncated")]


def test_every_clip_gets_features(ravdess, tmp_path):
    report = extract_features(ravdess, create_extractor("logmel"), tmp_path / "store", workers=2)
    assert report.failed == () and report.done == report.planned == len(ravdess)
    # The pair of identical files is one array.
    assert report.new == len({clip.sha256 for clip in ravdess}) < len(ravdess)


def test_sequential_folds_are_four_actors_in_order(ravdess):
    if len(ravdess.speakers) != 20:
        pytest.skip("not the 20 actors that this order is stated for")
    for number, split in enumerate(make_splits(ravdess, "sequential-5fold")):
        assert check_split(ravdess, split) == ()
        actors = {int(clip_id[-2:]) for clip_id in split.test}
        assert actors == set(range(4 * number + 1, 4 * number + 5))
