"""Splits: speakers and recordings never cross, every clip is judged once, the guard sees leaks."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectus.corpora.ravdess import read_clip
from affectus.errors import SplitError
from affectus.manifest import Clip, Manifest
from affectus.splits import (
    SIDES,
    Split,
    check_split,
    find_protocol,
    list_protocols,
    make_splits,
    read_splits,
    stamp_leaks,
    write_splits,
)

EMOTIONS = ("neutral", "happy", "sad", "angry")
# Those for speakers of any name; tests/test_protocols.py has the others.
BY_SPEAKER = [protocol.name for protocol in list_protocols() if protocol.kind == "sequence"]
AT_RANDOM = ["random-5fold"]


def clip(number, speaker="own:1", emotion="happy", **values):
    values = {"sha256": f"{number:064x}", **values}
    corpus = values.pop("corpus", "own")
    return Clip(f"own/{number:03d}", corpus, f"{number}.wav", speaker, emotion, **values)


def of_speakers(*names, n_clips=4):
    """A manifest with some clips of each speaker."""
    return Manifest(
        tuple(
            clip(n_clips * place + take, f"own:{name}", EMOTIONS[take % 4])
            for place, name in enumerate(names)
            for take in range(n_clips)
        )
    )


def ravdess(actors):
    # Livingstone and Russo (2018): 60 spoken clips of each actor.
    names = [
        f"03-01-{emotion:02d}-{intensity:02d}-{statement:02d}-{repetition:02d}-{actor:02d}.wav"
        for actor in actors
        for emotion in range(1, 9)
        for intensity in ((1,) if emotion == 1 else (1, 2))
        for statement in (1, 2)
        for repetition in (1, 2)
    ]
    clips = [read_clip(Path(name)) for name in names]
    return Manifest(
        tuple(msgspec.structs.replace(c, sha256=f"{number:064x}") for number, c in enumerate(clips))
    )


def speakers_of(manifest, split, side):
    by_id = {c.clip_id: c for c in manifest}
    return {by_id[clip_id].speaker for clip_id in split.side(side)}


@st.composite
def manifests(draw, enough=False):
    """Any manifest: odd names, speakers of few or many clips, copies, faults, missing labels.

    `enough`: of six usable speakers at least, for which every protocol can be made.
    """
    names = st.text("019ab: -é\0", min_size=1, max_size=4)
    speakers = draw(st.lists(names, min_size=6 if enough else 1, max_size=14, unique=True))
    clips = []
    for speaker in speakers:
        for take in range(draw(st.integers(1, 5))):
            number = len(clips)
            sound = enough and take == 0
            copied = draw(st.booleans()) and clips and clips[-1].speaker == speaker
            clips.append(
                clip(
                    number,
                    speaker,
                    draw(st.sampled_from(EMOTIONS if sound else [*EMOTIONS, None])),
                    sha256=clips[-1].sha256 if copied else f"{number:064x}",
                    fault="" if sound else draw(st.sampled_from(["", "", "not understood"])),
                )
            )
    return Manifest(tuple(draw(st.permutations(clips))))


# --- what every protocol keeps ---


@settings(max_examples=50, deadline=None)
@given(manifests(enough=True), st.sampled_from(BY_SPEAKER))
def test_speakers_and_recordings_never_cross_sides(manifest, protocol):
    splits = make_splits(manifest, protocol)
    by_id = {c.clip_id: c for c in manifest}
    for split in splits:
        for one, other in combinations(SIDES, 2):
            ours, theirs = ([by_id[i] for i in split.side(side)] for side in (one, other))
            assert not {c.clip_id for c in ours} & {c.clip_id for c in theirs}
            assert not {c.speaker for c in ours} & {c.speaker for c in theirs}
            assert not {c.sha256 for c in ours} & {c.sha256 for c in theirs}
        assert check_split(manifest, split) == ()
        assert not split.leaky


@settings(max_examples=50, deadline=None)
@given(manifests(enough=True), st.sampled_from([*BY_SPEAKER, *AT_RANDOM]), st.integers(0, 3))
def test_every_usable_clip_is_on_one_side_of_each_fold_and_in_test_once(manifest, protocol, seed):
    splits = make_splits(manifest, protocol, seed=seed)
    usable = Counter(c.clip_id for c in manifest if c.emotion is not None and not c.fault)
    assert Counter(clip_id for split in splits for clip_id in split.test) == usable
    for split in splits:
        assert Counter(clip_id for side in SIDES for clip_id in split.side(side)) == usable


@settings(max_examples=50, deadline=None)
@given(manifests(), st.sampled_from(BY_SPEAKER))
def test_a_protocol_by_speaker_is_refused_only_where_speakers_are_too_few(manifest, protocol):
    usable = {c.speaker for c in manifest if c.emotion is not None and not c.fault}
    # A speaker to train on, two for dev, one for test; and one at least for each fold.
    enough = max(4, find_protocol(protocol).folds)
    try:
        splits = make_splits(manifest, protocol)
    except SplitError:
        assert len(usable) < enough
    else:
        assert len(usable) >= enough
        assert len(splits) == (find_protocol(protocol).folds or len(usable))
        assert all(split.train and split.dev and split.test for split in splits)


@pytest.mark.parametrize("protocol", [*BY_SPEAKER, *AT_RANDOM])
def test_clips_with_a_fault_or_without_an_emotion_are_on_no_side(protocol):
    manifest = of_speakers(*range(12))
    clips = list(manifest.clips)
    clips[3] = msgspec.structs.replace(clips[3], fault="not understood")
    clips[8] = msgspec.structs.replace(clips[8], emotion=None)
    for split in make_splits(Manifest(tuple(clips)), protocol):
        sides = {*split.train, *split.dev, *split.test}
        assert len(sides) == len(clips) - 2
        assert not sides & {clips[3].clip_id, clips[8].clip_id}


# --- the protocols by speaker ---


def test_twenty_actors_make_five_folds_of_four_in_order():
    manifest = ravdess(range(1, 21))
    splits = make_splits(manifest, "sequential-5fold")
    assert [split.fold for split in splits] == [f"fold-{n}" for n in range(1, 6)]
    tests = [sorted(speakers_of(manifest, split, "test")) for split in splits]
    assert tests == [
        [f"ravdess:{actor:02d}" for actor in range(first, first + 4)] for first in range(1, 21, 4)
    ]
    assert [len(split.test) for split in splits] == [240] * 5


def test_dev_speakers_are_the_first_two_of_the_next_fold():
    manifest = ravdess(range(1, 21))
    devs = [
        sorted(speakers_of(manifest, split, "dev"))
        for split in make_splits(manifest, "sequential-5fold")
    ]
    assert devs == [
        [f"ravdess:{actor:02d}" for actor in pair]
        for pair in ((5, 6), (9, 10), (13, 14), (17, 18), (1, 2))
    ]


def test_twenty_four_actors_make_six_folds_of_four():
    manifest = ravdess(range(1, 25))
    splits = make_splits(manifest, "sequential-6fold")
    tests = [sorted(speakers_of(manifest, split, "test")) for split in splits]
    assert tests[5] == ["ravdess:21", "ravdess:22", "ravdess:23", "ravdess:24"]
    assert [len(test) for test in tests] == [4] * 6


def test_speakers_go_in_natural_order():
    manifest = of_speakers("10", "9", "2", "1", "11")
    splits = make_splits(manifest, "sequential-5fold")
    tests = [speakers_of(manifest, split, "test") for split in splits]
    assert tests == [{"own:1"}, {"own:2"}, {"own:9"}, {"own:10"}, {"own:11"}]


def test_folds_do_not_depend_on_the_order_of_rows_or_on_the_process():
    # '1', '01' and '001' are one number, and sets have another order in each process.
    code = """if True:
        from pathlib import Path
        from affectus.manifest import Clip, Manifest
        from affectus.splits import make_splits
        names = "1", "01", "001", "0001", "00001", "2"
        clips = (Clip(f"own/{name}", "own", name, name, "sad") for name in names)
        print([s.test for s in make_splits(Manifest(tuple(clips)), "sequential-6fold")])
    """
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, text=True,
            capture_output=True, check=True,
        ).stdout
        for seed in "123"
    }  # fmt: skip
    assert len(found) == 1
    manifest = of_speakers("b", "a", "c", "e", "d")
    shuffled = Manifest(manifest.clips[::-1])
    for one, other in zip(
        make_splits(manifest, "sequential-5fold"),
        make_splits(shuffled, "sequential-5fold"),
        strict=True,
    ):
        assert all(set(one.side(side)) == set(other.side(side)) for side in SIDES)


def test_leaving_one_speaker_out_makes_a_fold_for_each():
    manifest = of_speakers(*range(1, 8))
    splits = make_splits(manifest, "leave-one-speaker-out")
    assert [speakers_of(manifest, s, "test") for s in splits] == [
        {f"own:{speaker}"} for speaker in range(1, 8)
    ]
    assert all(len(speakers_of(manifest, split, "train")) == 4 for split in splits)


@pytest.mark.parametrize(
    ("protocol", "n_speakers", "needed"),
    [
        ("sequential-5fold", 4, 5),
        ("sequential-6fold", 5, 6),
        ("leave-one-speaker-out", 3, 4),
        ("leave-one-speaker-out", 1, 4),
    ],
)
def test_too_few_speakers_are_refused_with_the_number_needed(protocol, n_speakers, needed):
    with pytest.raises(SplitError) as caught:
        make_splits(of_speakers(*range(n_speakers)), protocol)
    assert str(caught.value) == (
        f"SplitError: {n_speakers} speakers; '{protocol}' expected at least {needed}, to fill "
        "test, dev (2) and train. Take another protocol: affectus split --list"
    )
    assert make_splits(of_speakers(*range(needed)), protocol)


def test_clips_without_a_speaker_are_refused_with_the_way_out():
    manifest = of_speakers(*range(6))
    clips = [*manifest.clips, clip(90, ""), clip(91, "")]
    with pytest.raises(SplitError) as caught:
        make_splits(Manifest(tuple(clips)), "sequential-5fold")
    assert str(caught.value) == (
        "SplitError: 2 clips have no speaker (the first: own/090); 'sequential-5fold' expected "
        "one each. Add a speaker column, or take a random protocol, which is leaky."
    )


def test_a_manifest_without_labels_is_refused():
    with pytest.raises(SplitError, match="the manifest has no clip with an emotion"):
        make_splits(Manifest((clip(0, emotion=None),)), "random-5fold")


def test_an_unknown_protocol_is_refused_with_the_nearest():
    with pytest.raises(SplitError) as caught:
        make_splits(of_speakers(*range(6)), "sequential-5folds")
    known = ", ".join(protocol.name for protocol in list_protocols())
    assert str(caught.value) == (
        f"SplitError: no protocol 'sequential-5folds'; known protocols: {known}. Did you mean "
        "'sequential-5fold'?"
    )


def test_a_split_says_where_it_comes_from():
    manifest = of_speakers(*range(6))
    split = make_splits(manifest, "sequential-6fold", seed=7)[2]
    assert (split.fold, split.protocol, split.version) == ("fold-3", "sequential-6fold", 1)
    assert (split.seed, split.leaky) == (7, False)
    assert split.manifest_sha256 == manifest.sha256
    assert "six folds" in split.text


# --- the leaky protocol ---


def test_the_random_protocol_is_marked_leaky():
    manifest = of_speakers(*range(6))
    splits = make_splits(manifest, "random-5fold")
    assert len(splits) == 5
    assert all(split.leaky and "LEAKY" in split.text for split in splits)
    assert [protocol.name for protocol in list_protocols() if protocol.leaky] == ["random-5fold"]


def test_the_random_protocol_depends_on_the_seed_alone():
    manifest = of_speakers(*range(6))
    first, again, other = (make_splits(manifest, "random-5fold", seed=s) for s in (1, 1, 2))
    assert first == again
    assert [split.test for split in first] != [split.test for split in other]


def test_the_random_protocol_keeps_the_share_of_each_emotion():
    numbers = {"neutral": 100, "happy": 50, "sad": 25, "angry": 10}
    emotions = [emotion for emotion, n in numbers.items() for _ in range(n)]
    manifest = Manifest(tuple(clip(n, f"own:{n % 3}", e) for n, e in enumerate(emotions)))
    by_id = {c.clip_id: c.emotion for c in manifest}
    for split in make_splits(manifest, "random-5fold", seed=3):
        counts = {side: Counter(by_id[i] for i in split.side(side)) for side in SIDES}
        for emotion, n in numbers.items():
            assert counts["test"][emotion] == n / 5
            assert counts["dev"][emotion] == pytest.approx(0.8 * n / 10, abs=1)


# --- the guard ---


@pytest.fixture
def manifest():
    return of_speakers(*range(1, 7))


@pytest.fixture
def split(manifest):
    return make_splits(manifest, "sequential-6fold")[0]


def planted(manifest, split, side, **values):
    """Change the first clip of a side, and take the split for one of the changed manifest."""
    target = split.side(side)[0]
    clips = [msgspec.structs.replace(c, **values) if c.clip_id == target else c for c in manifest]
    changed = Manifest(tuple(clips))
    return changed, replace(split, manifest_sha256=changed.sha256)


def test_a_split_without_a_leak_passes(manifest, split):
    assert check_split(manifest, split) == ()
    audio = {c.clip_id: c.sha256 for c in manifest}
    assert check_split(manifest, split, audio=audio) == ()


def test_a_shared_speaker_is_refused_by_name(manifest, split):
    leaking = planted(manifest, split, "test", speaker="own:4")
    with pytest.raises(SplitError) as caught:
        check_split(*leaking)
    assert str(caught.value) == (
        "SplitError: fold-1: 1 speaker (own:4) in both train and test; expected none. Use a "
        "protocol of 'affectus split --list', or --allow-leak to run it stamped as leaky."
    )


def test_a_shared_file_is_refused_with_both_its_clips(manifest, split):
    sha256 = next(c.sha256 for c in manifest if c.clip_id == split.dev[0])
    leaking = planted(manifest, split, "test", sha256=sha256)
    with pytest.raises(SplitError) as caught:
        check_split(*leaking)
    assert (
        f"fold-1: 1 recording ({split.dev[0]} = {split.test[0]}) in both dev and test; expected"
        in str(caught.value)
    )


def test_stretches_of_one_file_on_two_sides_are_refused(manifest, split):
    one, other = split.train[0], split.test[0]
    stretches = {one: (0.0, 2.0), other: (1.0, 3.0)}
    clips = [
        msgspec.structs.replace(
            c, sha256="f" * 64, start=stretches[c.clip_id][0], end=stretches[c.clip_id][1]
        )
        if c.clip_id in stretches
        else c
        for c in manifest
    ]
    changed = Manifest(tuple(clips))
    with pytest.raises(SplitError, match=r"1 recording \(.+\) in both train and test"):
        check_split(changed, replace(split, manifest_sha256=changed.sha256))


def test_a_shared_sound_is_refused_where_the_files_differ(manifest, split):
    audio = {c.clip_id: c.sha256 for c in manifest}
    audio[split.test[0]] = audio[split.train[0]] = "the same sound"
    with pytest.raises(SplitError) as caught:
        check_split(manifest, split, audio=audio)
    assert f"fold-1: 1 sound ({split.train[0]} = {split.test[0]}) in both train and test" in str(
        caught.value
    )


def test_clips_without_a_known_sound_share_none(manifest, split):
    assert check_split(manifest, split, audio={c.clip_id: "" for c in manifest}) == ()


def test_stretches_of_one_file_are_seen_without_hashes(manifest, split):
    one, other = split.train[0], split.test[0]
    clips = [
        msgspec.structs.replace(
            c, sha256="", file="talk.wav" if c.clip_id in (one, other) else c.file
        )
        for c in manifest
    ]
    changed = Manifest(tuple(clips))
    with pytest.raises(SplitError) as caught:
        check_split(changed, replace(split, manifest_sha256=changed.sha256))
    assert f"1 recording ({one} = {other}) in both train and test; expected" in str(caught.value)


def test_a_copy_away_from_what_it_was_made_from_is_refused_with_both(manifest, split):
    leaking = planted(manifest, split, "test", take=split.train[0])
    with pytest.raises(SplitError) as caught:
        check_split(*leaking)
    assert str(caught.value).startswith(
        f"SplitError: fold-1: 1 take ({split.train[0]} = {split.test[0]}) in both train and test; "
        "expected none."
    )


def test_a_film_away_from_its_sound_is_refused(manifest, split):
    changed, moved = planted(manifest, split, "dev", take="own/take-7")
    leaking = planted(changed, moved, "test", take="own/take-7")
    with pytest.raises(SplitError) as caught:
        check_split(*leaking)
    assert f"1 take ({split.dev[0]} = {split.test[0]}) in both dev and test" in str(caught.value)


def test_two_copies_of_a_clip_on_no_side_are_refused(manifest, split):
    lost = clip(99, "own:9", emotion=None)
    changed, moved = planted(Manifest((*manifest.clips, lost)), split, "dev", take=lost.clip_id)
    leaking = planted(changed, moved, "train", take=lost.clip_id)
    with pytest.raises(SplitError, match=r"1 take \(.+\) in both train and dev"):
        check_split(*leaking)


def test_a_file_on_two_sides_is_told_once(manifest, split):
    target = next(c for c in manifest if c.clip_id == split.train[0])
    leaking = planted(manifest, split, "test", sha256=target.sha256, take=target.clip_id)
    assert check_split(*leaking, allow_leak=True) == (
        f"1 recording ({split.train[0]} = {split.test[0]}) in both train and test",
    )


def test_near_identical_sounds_on_two_sides_are_refused_with_both(manifest, split):
    near = [
        (split.test[0], split.train[1]),
        (split.train[0], split.train[1]),  # on one side: no leak
        (split.dev[0], "own/999"),  # not in this split
    ]
    with pytest.raises(SplitError) as caught:
        check_split(manifest, split, near=iter(near))
    one, other = sorted(near[0])
    assert str(caught.value).startswith(
        f"SplitError: fold-1: 1 near-identical sound ({one} ~ {other}) in both train and test; "
        "expected none."
    )
    assert check_split(manifest, split, near=near[1:]) == ()


def test_dev_may_be_of_the_training_speakers_only_where_the_named_protocol_says_so():
    words = [
        clip(n, f"tess:{speaker}", corpus="tess", sentence=f"word {n % 10}")
        for n, speaker in enumerate(["OAF"] * 10 + ["YAF"] * 10)
    ]
    manifest = Manifest(tuple(words))
    split = make_splits(manifest, "tess-2fold")[0]
    assert check_split(manifest, split) == ()
    for other in (replace(split, protocol="own"), replace(split, version=99)):
        with pytest.raises(SplitError, match=r"1 speaker \(tess:YAF\) in both train and dev"):
            check_split(manifest, other)
    moved = replace(split, train=split.train[1:], test=(*split.test, split.train[0]))
    with pytest.raises(SplitError, match=r"1 speaker \(tess:YAF\) in both train and test"):
        check_split(manifest, moved)
    copied = msgspec.structs.replace(
        next(c for c in words if c.clip_id == split.dev[0]), take=split.train[0]
    )
    changed = Manifest(tuple(copied if c.clip_id == copied.clip_id else c for c in words))
    with pytest.raises(SplitError, match=r"1 take \(.+\) in both train and dev"):
        check_split(changed, replace(split, manifest_sha256=changed.sha256))


def test_leaks_that_are_allowed_are_stamped_on_the_split(manifest, split):
    assert stamp_leaks(split, ()) == split
    stamped = stamp_leaks(split, ("1 speaker (own:4) in both train and test",))
    assert stamped.leaky
    assert stamped.text == f"LEAKY: 1 speaker (own:4) in both train and test; {split.text}"
    assert (stamped.train, stamped.dev, stamped.test) == (split.train, split.dev, split.test)
    assert stamp_leaks(stamped, ("1 speaker (own:4) in both train and test",)) == stamped


def test_many_leaks_are_counted_and_the_first_four_named(manifest):
    ids = [c.clip_id for c in manifest]  # four of each speaker
    own = own_split(manifest, train=(*ids[::4], *ids[1::4]), dev=(ids[2],), test=tuple(ids[3::4]))
    with pytest.raises(SplitError) as caught:
        check_split(manifest, own)
    assert "6 speakers (own:1, own:2, own:3, own:4 and 2 more) in both train and test" in str(
        caught.value
    )


def test_clips_without_a_speaker_cannot_be_called_disjoint(manifest, split):
    unknown = planted(manifest, split, "test", speaker="")
    with pytest.raises(SplitError) as caught:
        check_split(*unknown)
    assert f"fold-1: 1 clips without a speaker (the first: {split.test[0]}); expected none" in str(
        caught.value
    )
    assert len(check_split(*unknown, allow_leak=True)) == 1


def test_a_clip_on_two_sides_is_refused_even_without_speaker_and_hash():
    clips = tuple(clip(n, "", sha256="") for n in range(4))
    manifest = Manifest(clips)
    own = own_split(manifest, train=("own/000", "own/001"), dev=("own/002",), test=("own/001",))
    with pytest.raises(SplitError, match=r"1 recording \(own/001 = own/001\) in both train and"):
        check_split(manifest, own)


def test_an_unknown_clip_is_refused_by_name(manifest, split):
    own = replace(split, test=(*split.test, "own/999"))
    with pytest.raises(SplitError) as caught:
        check_split(manifest, own)
    assert str(caught.value) == (
        "SplitError: fold-1: clip 'own/999' is not in the manifest; expected the one the split "
        "was made from. Make the split again: affectus split"
    )


@pytest.mark.parametrize("side", SIDES)
def test_an_empty_side_is_refused_by_name(manifest, split, side):
    with pytest.raises(SplitError, match=f"fold-1: no clips in {side}; expected some on every"):
        check_split(manifest, replace(split, **{side: ()}))


def test_a_split_of_another_manifest_is_refused(manifest, split):
    relabelled = planted(manifest, split, "test", emotion="angry")[0]
    with pytest.raises(SplitError) as caught:
        check_split(relabelled, split)
    assert str(caught.value) == (
        f"SplitError: fold-1: made from another manifest ({manifest.sha256[:12]}…, this one is "
        f"{relabelled.sha256[:12]}…); expected the same labels, speakers and files. Make the split "
        "again: affectus split"
    )


def test_an_allowed_leak_is_returned_in_words(manifest, split):
    leaking = planted(manifest, split, "test", speaker="own:4")
    assert check_split(*leaking, allow_leak=True) == ("1 speaker (own:4) in both train and test",)


def test_the_leaks_of_a_leaky_protocol_are_returned_in_words(manifest):
    leaks = check_split(manifest, make_splits(manifest, "random-5fold")[0])
    assert any("in both train and test" in leak for leak in leaks)


# --- on disk ---


def own_split(manifest, **sides):
    return Split(
        fold="mine", protocol="own", version=1, text="made by hand", leaky=False, seed=0,
        manifest_sha256=manifest.sha256, **sides,
    )  # fmt: skip


@pytest.mark.parametrize("protocol", [*BY_SPEAKER, *AT_RANDOM])
def test_splits_come_back_as_they_were_written(tmp_path, manifest, protocol):
    splits = make_splits(manifest, protocol, seed=5)
    write_splits(splits, tmp_path / "split.json")
    assert read_splits(tmp_path / "split.json") == splits
    assert [path.name for path in tmp_path.iterdir()] == ["split.json"]


def test_writing_splits_is_complete_or_not_at_all(tmp_path, manifest, split, monkeypatch):
    path = tmp_path / "split.json"
    write_splits([split], path)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(Path, "replace", full)
        write_splits(make_splits(manifest, "random-5fold"), path)
    assert read_splits(path) == (split,)


def content_of(split, **changes):
    return {"version": 1, "folds": [{**asdict(split), **changes}]}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "data was truncated"),
        ("no json", "malformed"),
        ("[]", r"Expected `object`, got `array`"),
        ("{}", "missing required field `version`"),
        ('{"version": 1, "folds": [{}]}', r"missing required field `fold` - at `\$\.folds\[0\]`"),
        ('{"version": 1, "folds": []}', "no folds; expected one or more"),
        ('{"version": 2, "folds": []}', "version 2; expected 1"),
        (b"\xff\xfe\0", "malformed|invalid|utf"),
    ],
)
def test_a_bad_file_of_splits_is_refused_in_one_line(tmp_path, text, found):
    path = tmp_path / "split.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SplitError, match=found) as caught:
        read_splits(path)
    assert str(caught.value).startswith(f"SplitError: {path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"train": "own/001"}, r"Expected `array`, got `str` - at `\$\.folds\[0\]\.train`"),
        ({"leaky": "false"}, r"Expected `bool`, got `str` - at `\$\.folds\[0\]\.leaky`"),
        ({"fold": "../../elsewhere"}, r"1 folds are called '\.\./\.\./elsewhere'; expected plain"),
        ({"fold": ""}, "1 folds are called ''; expected plain names"),
    ],
)
def test_a_value_that_would_be_misread_is_refused(tmp_path, split, changes, found):
    path = tmp_path / "split.json"
    path.write_text(json.dumps(content_of(split, **changes)))
    with pytest.raises(SplitError, match=found):
        read_splits(path)


def test_two_folds_of_one_name_are_refused(tmp_path, split):
    # Each would be trained into the other's folder.
    write_splits([split, split], tmp_path / "split.json")
    with pytest.raises(SplitError, match="2 folds are called 'fold-1'; expected plain names, each"):
        read_splits(tmp_path / "split.json")


def test_a_file_of_splits_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SplitError) as caught:
        read_splits(tmp_path / "absent.json")
    assert str(caught.value) == (
        f"SplitError: {tmp_path / 'absent.json'}: No such file or directory; expected splits in "
        "JSON."
    )
