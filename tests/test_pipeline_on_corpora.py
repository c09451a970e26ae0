"""Real corpora: run by `make test-corpora CORPORA=FOLDER`, skipped where the folder is absent."""

import csv
import os
from collections import defaultdict
from pathlib import Path

import pytest

from affectus.audit import audit_manifest, check_completeness
from affectus.corpora import expected_clips, expected_counts, load_corpus
from affectus.corpora.votes import find_plurality
from affectus.extraction import extract_features
from affectus.features import create_extractor
from affectus.splits import check_split, make_splits

pytestmark = pytest.mark.corpus


def find_folder(name):
    folder = Path(os.environ.get("CORPORA", "corpora")) / name
    if not folder.is_dir():
        pytest.skip(f"no {folder}; run: make test-corpora CORPORA=FOLDER")
    return folder


@pytest.fixture(scope="module")
def ravdess():
    return load_corpus("ravdess", find_folder("ravdess"))


# --- every corpus: how much of it is there -----------------------------------------------------


@pytest.mark.parametrize("name", ["banglaser", "cremad", "nemo", "ravdess", "tess"])
def test_what_is_there_and_what_is_missing_add_up(name):
    manifest = load_corpus(name, find_folder(name))
    assert [clip.fault for clip in manifest if clip.fault] == []
    present = {clip.clip_id for clip in manifest}
    expected = {clip.clip_id for clip in expected_clips(manifest)}
    number = expected_counts(manifest)[name]
    assert len(present) <= number
    if expected:  # the names are known
        assert present <= expected and len(expected) == number
    missing = sorted(expected - present)
    print(f"{name}: {len(present):,} of {number:,}; missing by name: {len(missing):,} "
          f"{', '.join(missing[:4])}")  # fmt: skip


# The published numbers: Livingstone and Russo (2018), speech; Christop (2024); Das et al. (2022);
# Pichora-Fuller and Dupuis (2020); Cao et al. (2014).
@pytest.mark.parametrize(
    ("name", "number", "n_speakers"),
    [
        ("banglaser", 1_467, 34), ("cremad", 7_442, 91), ("nemo", 4_481, 9), ("ravdess", 1_440, 24),
        ("tess", 2_800, 2),
    ],
)  # fmt: skip
def test_the_whole_is_as_large_as_was_published(name, number, n_speakers):
    manifest = load_corpus(name, find_folder(name))
    assert expected_counts(manifest)[name] == number
    assert len(manifest.speakers) <= n_speakers


def test_tess_clips_that_are_missing_have_names():
    manifest = load_corpus("tess", find_folder("tess"))
    missing = {c.clip_id for c in expected_clips(manifest)} - {c.clip_id for c in manifest}
    assert missing <= {"tess/OAF_back_angry", "tess/YAF_beg_sad"}
    assert len(manifest) + len(missing) == 2_800
    assert any(clip.path.stem == "OA_bite_neutral" for clip in manifest)  # as published


def test_banglaser_has_two_pairs_of_one_file_and_three_odd_names():
    manifest = load_corpus("banglaser", find_folder("banglaser"))
    odd = sorted(clip.path.stem for clip in manifest if clip.path.stem.startswith("01-"))
    assert odd == [f"01-01-04-02-03-0{n}-15" for n in (1, 2, 3)]
    assert all(clip.channels == ("voice",) for clip in manifest)
    report = audit_manifest(manifest, expected_clips(manifest))
    words = " ".join(f.message for f in report.findings if f.check == "identical")
    assert "banglaser/03-01-01-01-01-01-17 = banglaser/03-01-01-01-01-03-17" in words
    assert "banglaser/03-01-01-01-03-01-15 = banglaser/03-01-01-01-03-03-15" in words
    assert words.count(" = ") == 2


def test_nemo_has_six_emotions_of_nine_speakers():
    manifest = load_corpus("nemo", find_folder("nemo"))
    assert len(manifest.speakers) == 9
    assert {clip.emotion for clip in manifest} == {
        "angry", "fearful", "happy", "neutral", "sad", "surprised",
    }  # fmt: skip


def test_nemo_says_how_many_are_missing_where_names_are_not_known():
    manifest = load_corpus("nemo", find_folder("nemo"))
    findings = check_completeness(manifest, expected_clips(manifest), expected_counts(manifest))
    if len(manifest) == 4_481:
        assert findings == []
    else:
        (finding,) = findings
        assert finding.message.startswith(f"nemo: {len(manifest):,} of 4,481 clips; which ")


# --- CREMA-D's tables --------------------------------------------------------------------------


def count_votes(folder, modality):
    """Votes by clip name, read here: the first column is modality * 100000 + number."""
    with (folder / "SentenceFilenames.csv").open(encoding="utf-8", newline="") as file:
        names = {int(row["Stimulus_Number"]): row["Filename"] for row in csv.DictReader(file)}
    letters = dict(zip("ADFHNS", ("angry", "disgust", "fearful", "happy", "neutral", "sad"),
                       strict=True))  # fmt: skip
    found = {}
    with (folder / "processedResults/tabulatedVotes.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            kind, number = divmod(int(row[""]), 100_000)
            if kind == modality:
                counts = {letters[x]: int(row[x]) for x in letters if int(row[x]) > 0}
                found[names[number]] = counts
                # the table's own count, and its own plurality
                assert sum(counts.values()) == int(row["numResponses"])
                most = [x for x in letters if counts.get(letters[x]) == max(counts.values())]
                assert ":".join(most) == row["emoVote"]
    return found


@pytest.mark.parametrize(("raters", "modality"), [("voice", 1), ("face", 2), ("both", 3)])
def test_cremad_votes_are_those_of_its_table(raters, modality):
    folder = find_folder("cremad")
    votes = count_votes(folder, modality)
    assert len(votes) == 7_442
    intended = load_corpus("cremad", folder, raters=raters)
    perceived = load_corpus("cremad", folder, raters=raters, label="perceived")
    assert set(votes) == {clip.path.stem for clip in expected_clips(intended)}
    for told, heard in zip(intended, perceived, strict=True):
        counts = votes[told.take.removeprefix("cremad/")]
        assert told.votes == heard.votes == counts
        most = [emotion for emotion, n in counts.items() if n == max(counts.values())]
        assert heard.emotion == (most[0] if len(most) == 1 else None)
        assert told.emotion and told.age.isdecimal() and told.ethnicity


def test_cremad_ties_are_as_many_as_the_table_has():
    # Counted in the published table: 644, 470 and 420 clips without a plurality.
    folder = find_folder("cremad")
    for modality, ties in ((1, 644), (2, 470), (3, 420)):
        votes = count_votes(folder, modality).values()
        assert sum(find_plurality(counts) is None for counts in votes) == ties


def test_forms_of_a_cremad_performance_share_a_take():
    folder = find_folder("cremad")
    forms = load_corpus("cremad", folder, parts=["wav", "mp3", "video"])
    assert len({clip.clip_id for clip in forms}) == len(forms)
    kinds = defaultdict(set)
    for clip in forms:
        kinds[clip.take].add(clip.path.suffix)
    assert len(kinds) < len(forms)
    assert {".wav", ".flv"} in kinds.values()


# --- RAVDESS, all the way ----------------------------------------------------------------------


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
