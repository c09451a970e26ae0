"""The named protocols: who is on which side, on whole corpora, on parts of them, on anything."""

import hashlib
import json
from collections import Counter
from itertools import combinations, pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from affectus.cli import run
from affectus.errors import SplitError
from affectus.manifest import Clip, Manifest
from affectus.splits import (
    SIDES,
    check_split,
    find_protocol,
    list_protocols,
    make_splits,
    read_splits,
)
from affectus.splits.protocols import parse_speakers

EMOTIONS = ("neutral", "happy", "sad", "angry")
SPEAKERS = {
    "ravdess": [f"{actor:02d}" for actor in range(1, 25)],
    "cremad": [str(actor) for actor in range(1001, 1092)],
    "savee": ["DC", "JE", "JK", "KL"],
    "tess": ["OAF", "YAF"],
    "emodb": ["03", "08", "09", "10", "11", "12", "13", "14", "15", "16"],
    "own": ["a", "b", "1", "01", "ü", "c:d", "x y"],
}
DISJOINT = [p.name for p in list_protocols() if p.kind not in ("random", "own")]
LISTED = [protocol for protocol in list_protocols() if protocol.kind == "listed"]


def corpus(name, speakers=None, n_clips=4):
    """Some clips of each speaker of a corpus, each with a word of its own."""
    return Manifest(
        tuple(
            Clip(
                f"{name}/{speaker}-{number}", name, f"{name}/{speaker}-{number}.wav",
                f"{name}:{speaker}", EMOTIONS[number % 4], sentence=f"word {number}",
                sha256=hashlib.sha256(f"{name}{speaker}{number}".encode()).hexdigest(),
            )
            for speaker in (SPEAKERS[name] if speakers is None else speakers)
            for number in range(n_clips)
        )
    )  # fmt: skip


def merged(*names, **n_clips):
    return Manifest(tuple(c for name in names for c in corpus(name, n_clips=n_clips.get(name, 4))))


def changed(manifest, number, **values):
    clips = list(manifest.clips)
    clips[number] = replace(clips[number], **values)
    return Manifest(tuple(clips))


def actors(manifest, split, side):
    speaker_of = {c.clip_id: c.speaker for c in manifest}
    return {speaker_of[i].partition(":")[2].lstrip("0") for i in split.side(side)}


def numbers(text):
    return set(text.split())


# --- on whatever comes: no speaker and no recording on two sides ---


@st.composite
def manifests(draw, protocol):
    """Clips of one or several corpora, with copies, films, stretches, shared files and faults."""
    random = Random(draw(st.integers(0, 2**32)))
    names = [protocol.corpus] if protocol.corpus else random.sample(list(SPEAKERS), k=3)
    known = [f"{n}:{s}" for n in names for s in SPEAKERS[n]]
    speakers = random.sample(known, k=min(draw(st.integers(2, 30)), len(known)))
    odd = draw(st.booleans())  # otherwise every speaker's recordings are their own
    clips = []
    for speaker in speakers:
        for _ in range(random.randint(1, 2 + 30 // len(speakers))):
            number = len(clips)
            clips.append(random_clip(random, number, speaker, clips if odd else []))
    return Manifest(tuple(random.sample(clips, k=len(clips))))


def random_clip(random: Random, number, speaker, others):
    name = speaker.partition(":")[0]
    values = {
        "file": f"{name}/{number}.wav",
        "sha256": f"{number:064x}" if random.random() < 0.8 else "",
        "sentence": f"word {random.randint(1, 30)}",
        "emotion": random.choice(EMOTIONS) if random.random() < 0.9 else None,
        "fault": "" if random.random() < 0.9 else "not understood",
        "split": random.choice(SIDES),
    }
    if others and random.random() < 0.1:
        other = random.choice(others)
        kind = random.choice(["file", "copy", "film", "stretch"])
        if kind in ("file", "stretch"):
            values |= {"file": other.file, "sha256": other.sha256}
        if kind == "stretch":
            values |= {"start": 1.0, "end": 2.0}
        if kind == "copy":
            values["take"] = other.clip_id
        if kind == "film":
            values["take"] = other.take or "take of two"
    return Clip(f"{name}/{number}", name, speaker=speaker, **values)


def recordings_of(manifest):
    """The recording of each clip id: components of the graph of all pairs that share something."""
    clips = manifest.clips
    edges = [
        (i, j)
        for i, one in enumerate(clips)
        for j, other in enumerate(clips)
        if (one.sha256 and one.sha256 == other.sha256)
        or (one.file == other.file and not one.sha256 and not other.sha256)
        or (one.take and one.take == other.take)
        or one.take == other.clip_id
    ]
    rows, columns = zip(*edges, strict=True) if edges else ((), ())
    shape = (len(clips), len(clips))
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)
    labels = connected_components(graph, directed=False)[1]
    return {c.clip_id: int(label) for c, label in zip(clips, labels, strict=True)}


@pytest.mark.parametrize("name", DISJOINT)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_speaker_and_no_recording_is_ever_on_two_sides(name, data):
    protocol = find_protocol(name)
    manifest = data.draw(manifests(protocol))
    try:
        splits = make_splits(manifest, name)
    except SplitError:
        return
    by_id, recording_of = {c.clip_id: c for c in manifest}, recordings_of(manifest)
    for split in splits:
        for one, other in combinations(SIDES, 2):
            ours, theirs = split.side(one), split.side(other)
            assert ours and theirs
            assert not {recording_of[i] for i in ours} & {recording_of[i] for i in theirs}
            voices = {by_id[i].speaker for i in ours} & {by_id[i].speaker for i in theirs}
            assert not voices or (protocol.shares_dev and (one, other) == ("train", "dev"))
        used = [by_id[i] for side in SIDES for i in split.side(side)]
        assert all(c.emotion and not c.fault for c in used)
        assert not split.leaky
        assert check_split(manifest, split) == ()


@pytest.mark.parametrize("name", DISJOINT)
def test_every_protocol_deals_the_whole_of_what_it_is_for(name):
    whole = find_protocol(name).corpus
    manifest = corpus(whole, n_clips=20) if whole else merged("ravdess", "savee", "tess", "emodb")
    for split in make_splits(manifest, name):
        assert len(split.train) + len(split.dev) + len(split.test) == len(manifest)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), seed=st.integers(0, 3))
def test_the_random_protocol_never_parts_a_recording(data, seed):
    manifest = data.draw(manifests(find_protocol("random-5fold")))
    recording_of = recordings_of(manifest)
    usable = {c.clip_id for c in manifest if c.emotion and not c.fault}
    tested = Counter()
    for split in make_splits(manifest, "random-5fold", seed=seed):
        sides = [{recording_of[i] for i in split.side(side)} for side in SIDES]
        assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
        tested.update(split.test)
    assert tested == Counter(usable)


def test_folds_are_those_of_earlier_releases():
    # Hashes of what 0.1.0 dealt, before protocols kept takes and copies together.
    clips = [
        Clip(f"own/{n:03d}", "own", f"{n}.wav", f"own:{n % 7}", EMOTIONS[n % 3], sha256=f"{n:064x}")
        for n in range(200)
    ]
    dealt = {
        "sequential-5fold": "1bb3105a73cff7783d30cb8bce6ba1bada5d0d318e7220b45260248870514289",
        "sequential-6fold": "cf21e7d40622f1b50810f2e63b4bfcea68f329befa992f4a50fe93f38e26fb17",
        "leave-one-speaker-out": "753af00d7f87d2f2c02a8ff05cca4e609dd3894d48b7e29e1ccd908132efe459",
        "random-5fold": "54b84c545ea0f89744d8671d164e0a62c17bf1aca276cd094fa161d30a3c9fc9",
    }
    for name, expected in dealt.items():
        folds = make_splits(Manifest(tuple(clips)), name, seed=3)
        text = json.dumps([[f.fold, f.train, f.dev, f.test] for f in folds])
        assert hashlib.sha256(text.encode()).hexdigest() == expected, name


# --- the protocols of one corpus ---


@pytest.mark.parametrize("protocol", LISTED, ids=lambda protocol: protocol.name)
def test_a_listed_protocol_names_speakers_of_its_corpus_once(protocol):
    everybody = parse_speakers(protocol.speakers)
    assert {str(int(s)) if s.isdecimal() else s.lower() for s in SPEAKERS[protocol.corpus]} == set(
        everybody
    )
    tests = [parse_speakers(text) for text in protocol.test]
    for test, dev in zip(tests, map(parse_speakers, protocol.dev), strict=True):
        assert set(test) | set(dev) < set(everybody)
        assert len({*test, *dev}) == len(test) + len(dev)
    if len(tests) > 1:
        assert Counter(name for test in tests for name in test) == Counter(everybody)


def test_emobox_tests_the_actors_of_its_published_folds():
    # EmoBox, data/ravdess/fold_1 to fold_6
    manifest = corpus("ravdess")
    splits = make_splits(manifest, "emobox-6fold")
    assert [actors(manifest, split, "test") for split in splits] == [
        {"1", "11", "20", "21"}, {"4", "10", "12", "14"}, {"8", "9", "19", "23"},
        {"3", "5", "7", "24"}, {"2", "15", "16", "18"}, {"6", "13", "17", "22"},
    ]  # fmt: skip


def test_luna_tests_the_actors_of_its_published_folds():
    # The README of its code, "Prepare dataset (5 CV)"
    manifest = corpus("ravdess")
    splits = make_splits(manifest, "luna-5fold")
    assert [actors(manifest, split, "test") for split in splits] == [
        {"2", "5", "14", "15", "16"}, {"3", "6", "7", "13", "18"}, {"10", "11", "12", "19", "20"},
        {"8", "17", "21", "23", "24"}, {"1", "4", "9", "22"},
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["emobox-6fold", "luna-5fold"])
def test_dev_is_one_man_and_one_woman_where_none_was_published(name):
    manifest = corpus("ravdess")  # odd actors are men (Livingstone and Russo 2018)
    for split in make_splits(manifest, name):
        assert sorted(int(actor) % 2 for actor in actors(manifest, split, "dev")) == [0, 1]


def test_single_splits_of_ravdess_are_as_published():
    manifest = corpus("ravdess")
    (split,) = make_splits(manifest, "chumachenko")  # issue 2 of the authors' repository
    assert actors(manifest, split, "test") == numbers("5 10 16 19")
    assert actors(manifest, split, "dev") == numbers("11 13 18 22")
    (split,) = make_splits(manifest, "nkululeko-ravdess")  # data/ravdess/process_database.py
    assert actors(manifest, split, "test") == numbers("21 22 23 24")
    assert actors(manifest, split, "dev") == numbers("16 17 19 20")
    train = numbers("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 18")
    assert actors(manifest, split, "train") == train


def test_cremad_has_five_blocks_and_the_next_one_is_dev():
    manifest = corpus("cremad", n_clips=1)
    splits = make_splits(manifest, "cremad-5fold")
    starts = [1001, 1019, 1037, 1055, 1073, 1092]
    blocks = [{str(actor) for actor in range(first, end)} for first, end in pairwise(starts)]
    assert [actors(manifest, split, "test") for split in splits] == blocks
    assert [actors(manifest, split, "dev") for split in splits] == [*blocks[1:], blocks[0]]


def test_audeering_splits_cremad_as_published():
    # audEERING, crema-d, 1.1.0/speaker_splits.json
    manifest = corpus("cremad", n_clips=1)
    (split,) = make_splits(manifest, "audeering-cremad")
    assert actors(manifest, split, "test") == numbers(
        "1063 1074 1079 1076 1078 1082 1084 1089 1080 1083 1088 1090 1068 1069 1071 1077 1086 1087"
    )
    assert actors(manifest, split, "dev") == numbers(
        "1060 1061 1049 1053 1054 1055 1058 1075 1059 1070 1085 1057 1062 1064 1065 1066 1067"
    )
    assert len(actors(manifest, split, "train")) == 56


def test_savee_leaves_one_out_and_trains_on_two():
    manifest = corpus("savee")
    splits = make_splits(manifest, "savee-4fold")
    assert [actors(manifest, split, "test") for split in splits] == [{"DC"}, {"JE"}, {"JK"}, {"KL"}]
    assert all(len(actors(manifest, split, "train")) == 2 for split in splits)


def test_tess_is_tested_across_its_speakers_and_dev_is_the_training_speaker():
    manifest = corpus("tess", n_clips=200)
    splits = make_splits(manifest, "tess-2fold")
    assert [actors(manifest, split, "test") for split in splits] == [{"OAF"}, {"YAF"}]
    word_of = {c.clip_id: c.sentence for c in manifest}
    for split in splits:
        assert actors(manifest, split, "train") == actors(manifest, split, "dev")
        assert actors(manifest, split, "train") != actors(manifest, split, "test")
        words = {word_of[i] for i in split.dev}
        assert len(words) == 20
        assert not words & {word_of[i] for i in split.train}
        assert check_split(manifest, split) == () and not split.leaky
        assert "dev is the voice of the training speaker" in split.text


def test_incomplete_corpora_are_dealt_and_said_to_be_incomplete():
    manifest = corpus("ravdess", SPEAKERS["ravdess"][:20])
    splits = make_splits(manifest, "luna-5fold")
    assert [actors(manifest, split, "test") for split in splits][3] == {"8", "17"}
    for split in splits:
        assert split.text.endswith(
            "; INCOMPLETE: 4 of the 24 speakers have no clips (21, 22, 23, 24)"
        )


def test_a_fold_without_test_speakers_is_dropped_and_the_others_keep_their_numbers():
    manifest = corpus("ravdess", sorted({*SPEAKERS["ravdess"]} - {"04", "10", "12", "14"}))
    splits = make_splits(manifest, "emobox-6fold")
    assert [split.fold for split in splits] == ["fold-1", "fold-3", "fold-4", "fold-5", "fold-6"]
    assert all(s.text.endswith("; fold 2 is dropped: no clips for test") for s in splits)


def test_a_protocol_none_of_whose_test_speakers_are_there_is_refused():
    with pytest.raises(SplitError) as caught:
        make_splits(corpus("ravdess", SPEAKERS["ravdess"][:20]), "nkululeko-ravdess")
    assert str(caught.value) == (
        "SplitError: 'nkululeko-ravdess': INCOMPLETE: 4 of the 24 speakers have no clips (21, 22, "
        "23, 24); fold 1 is dropped: no clips for test; expected clips on every side of one fold "
        "at least. Complete the clips, or take another protocol: affectus split --list"
    )


@pytest.mark.parametrize("name", ["emobox-6fold", "tess-2fold"])
def test_a_protocol_of_one_corpus_refuses_others(name):
    own = find_protocol(name).corpus
    with pytest.raises(SplitError) as caught:
        make_splits(merged(own, "savee"), name)
    assert str(caught.value) == (
        f"SplitError: the manifest holds 16 clips of savee; '{name}' expected {own} alone. Give "
        "that corpus's own manifest, or take another protocol: affectus split --list"
    )


def test_speakers_that_a_corpus_does_not_have_are_refused_by_name():
    with pytest.raises(SplitError) as caught:
        make_splits(corpus("savee", ["DC", "JE", "JK", "XY"]), "savee-4fold")
    assert str(caught.value) == (
        "SplitError: speakers savee:XY: not of savee; 'savee-4fold' expected DC JE JK KL. Correct "
        "the table, or take another protocol: affectus split --list"
    )


def test_crossing_speakers_needs_two_and_their_words():
    with pytest.raises(SplitError) as caught:
        make_splits(corpus("tess", ["OAF"]), "tess-2fold")
    assert str(caught.value) == (
        "SplitError: 1 speakers (tess:OAF); 'tess-2fold' expected two, one to train on and one to "
        "test. Take another protocol: affectus split --list"
    )
    wordless = Manifest(tuple(replace(c, sentence="") for c in corpus("tess")))
    with pytest.raises(SplitError) as caught:
        make_splits(wordless, "tess-2fold")
    assert str(caught.value) == (
        "SplitError: all clips of one speaker have the sentence ''; 'tess-2fold' expected the word "
        "of each clip. Import again."
    )


def test_a_recording_of_two_listed_speakers_stays_in_test_alone():
    manifest = corpus("ravdess")
    manifest = changed(manifest, 0, sha256=manifest.clips[4].sha256)  # actor 1's is actor 2's
    split = make_splits(manifest, "luna-5fold")[0]  # tests actor 2
    assert manifest.clips[4].clip_id in split.test
    assert manifest.clips[0].clip_id not in (*split.train, *split.dev)
    assert "fold 1 leaves out 1 clips whose recording is on another side, too" in split.text
    manifest = changed(corpus("ravdess"), 8, sha256=manifest.clips[4].sha256)  # actor 3 is dev
    split = make_splits(manifest, "luna-5fold")[0]
    assert manifest.clips[4].clip_id in split.test
    assert manifest.clips[8].clip_id not in (*split.train, *split.dev, *split.test)


# --- the protocols for several corpora ---


def test_grouped_folds_are_alike_in_clips_and_in_each_corpus():
    manifest = merged("ravdess", "cremad", "emodb", "savee", ravdess=60, cremad=82, emodb=53)
    by_id = {c.clip_id: c for c in manifest}
    splits = make_splits(manifest, "grouped-5fold")
    tested = Counter(i for split in splits for i in split.test)
    assert tested == Counter(by_id.keys())
    for split in splits:
        assert len(split.test) == pytest.approx(len(manifest) / 5, rel=0.05)
        n_speakers = Counter(s.partition(":")[0] for s in {by_id[i].speaker for i in split.test})
        assert n_speakers["ravdess"] in (4, 5, 6)  # 24 / 5 = 4.8
        assert n_speakers["cremad"] in (18, 19)  # 91 / 5 = 18.2
        assert n_speakers["emodb"] == 2
        assert n_speakers["savee"] in (0, 1)


def test_two_speakers_with_many_clips_do_not_make_two_large_folds_larger():
    manifest = merged("ravdess", "cremad", "tess", ravdess=60, cremad=82, tess=1400)
    splits = make_splits(manifest, "grouped-5fold")
    speaker_of = {c.clip_id: c.speaker for c in manifest}
    others = [sum(not speaker_of[i].startswith("tess") for i in s.test) for s in splits]
    large = [len(s.test) > o for s, o in zip(splits, others, strict=True)]
    assert sum(large) == 2  # a fold each
    small = [o for o, is_large in zip(others, large, strict=True) if not is_large]
    assert max(o for o, is_large in zip(others, large, strict=True) if is_large) < min(small)


def test_grouped_dev_is_of_both_sexes_and_of_no_corpus_with_one_speaker_in_the_fold():
    manifest = merged("ravdess", "savee", ravdess=60)
    for split in make_splits(manifest, "grouped-5fold")[:3]:
        dev = {c.speaker for c in manifest if c.clip_id in split.dev}
        assert all(s.startswith("ravdess") for s in dev)
        assert {int(s[-2:]) % 2 for s in dev} == {0, 1}


def test_grouped_folds_do_not_depend_on_the_order_of_rows():
    manifest = merged("ravdess", "savee", "emodb")
    turned = Manifest(manifest.clips[::-1])
    for one, other in zip(
        make_splits(manifest, "grouped-5fold"), make_splits(turned, "grouped-5fold"), strict=True
    ):
        assert all(set(one.side(side)) == set(other.side(side)) for side in SIDES)


def test_each_corpus_is_tested_once_and_dev_is_of_the_others():
    manifest = merged("ravdess", "savee", "emodb", "tess")
    splits = make_splits(manifest, "leave-one-corpus-out")
    corpus_of = {c.clip_id: c.corpus for c in manifest}
    tested = [{corpus_of[i] for i in split.test} for split in splits]
    assert tested == [{"emodb"}, {"ravdess"}, {"savee"}, {"tess"}]
    assert "the folds test 1 emodb, 2 ravdess, 3 savee, 4 tess" in splits[0].text
    speaker_of = {c.clip_id: c.speaker for c in manifest}
    dev = [sorted({speaker_of[i] for i in split.dev}) for split in splits]
    assert dev == [
        ["ravdess:09", "ravdess:18"],
        ["emodb:15"],
        ["emodb:15", "ravdess:09", "ravdess:18"],
        ["emodb:15", "ravdess:09", "ravdess:18"],
    ]


def test_small_corpora_give_one_speaker_for_dev():
    splits = make_splits(merged("savee", "tess"), "leave-one-corpus-out")
    assert [sorted({i.partition("-")[0] for i in split.dev}) for split in splits] == [
        ["tess/OAF"],
        ["savee/DC"],
    ]


def test_a_speaker_who_is_in_the_tested_corpus_too_is_left_out():
    manifest = merged("ravdess", "emodb")
    manifest = changed(manifest, 0, sha256=manifest.clips[-1].sha256)
    (emodb, ravdess) = make_splits(manifest, "leave-one-corpus-out")
    assert "01" not in {i[8:10] for i in (*emodb.train, *emodb.dev)}
    assert "fold 1 leaves out 4 clips whose speaker or recording is in emodb, too" in emodb.text
    assert check_split(manifest, emodb) == check_split(manifest, ravdess) == ()


def test_one_corpus_cannot_be_left_out():
    with pytest.raises(SplitError) as caught:
        make_splits(corpus("ravdess"), "leave-one-corpus-out")
    assert str(caught.value) == (
        "SplitError: one corpus (ravdess); 'leave-one-corpus-out' expected two or more. Import "
        "others, too, or take another protocol: affectus split --list"
    )


# --- speakers who share a recording ---


def test_speakers_who_share_a_recording_are_dealt_as_one():
    manifest = corpus("own", "abcdef")
    manifest = changed(manifest, 0, take=manifest.clips[-1].clip_id)  # a's is a copy of f's
    for split in make_splits(manifest, "sequential-5fold"):
        together = [{"a", "f"} & actors(manifest, split, side) for side in SIDES]
        assert {"a", "f"} in together
        assert check_split(manifest, split) == ()


def test_too_few_speakers_after_that_are_refused_with_their_names():
    manifest = corpus("own", "abcde")
    manifest = changed(manifest, 0, sha256=manifest.clips[-1].sha256)
    with pytest.raises(SplitError) as caught:
        make_splits(manifest, "sequential-5fold")
    assert str(caught.value) == (
        "SplitError: 5 speakers, 4 if those who share recordings count as one (own:a, own:e); "
        "'sequential-5fold' expected at least 5, to fill test, dev (2) and train. Take another "
        "protocol: affectus split --list"
    )


def test_copies_of_a_clip_that_is_not_used_stay_together():
    manifest = corpus("own", "abcdef")
    manifest = changed(manifest, 0, take="own/lost")
    manifest = changed(manifest, -1, take="own/lost")
    original = Clip("own/lost", "own", "lost.wav", fault="file cannot be read")
    manifest = Manifest((*manifest.clips, original))
    for split in make_splits(manifest, "sequential-5fold"):
        assert any({"a", "f"} <= actors(manifest, split, side) for side in SIDES)


# --- the table's own sides ---


def own_sides(**speakers):
    manifest = corpus("own", [s for names in speakers.values() for s in names])
    side_of = {f"own:{s}": side for side, names in speakers.items() for s in names}
    return Manifest(tuple(replace(c, split=side_of[c.speaker]) for c in manifest))


def test_the_tables_own_sides_are_taken_as_they_are():
    manifest = changed(own_sides(train="abc", dev="d", test="e"), 0, split="")
    (split,) = make_splits(manifest, "own")
    assert [actors(manifest, split, side) for side in SIDES] == [{"a", "b", "c"}, {"d"}, {"e"}]
    assert len(split.train) == 11 and split.text.endswith("; 1 clips are on no side")
    assert check_split(manifest, split) == () and not split.leaky


def test_own_sides_that_leak_are_refused_by_the_guard():
    manifest = changed(own_sides(train="abc", dev="d", test="e"), 0, split="test")
    (split,) = make_splits(manifest, "own")
    with pytest.raises(SplitError, match=r"1 speaker \(own:a\) in both train and test"):
        check_split(manifest, split)


def test_own_sides_must_be_three_and_known():
    with pytest.raises(SplitError) as caught:
        make_splits(own_sides(train="abc", test="e"), "own")
    assert str(caught.value) == (
        "SplitError: the table's own sides hold 12 train, 0 dev, 4 test clips; expected some on "
        "each. Write 'dev' in column 'split' for all clips of some speakers, and import again."
    )
    with pytest.raises(SplitError) as caught:
        make_splits(own_sides(train="abc", dev="d", held="e"), "own")
    assert str(caught.value) == (
        "SplitError: clip 'own/e-0': split is 'held'; expected train, dev or test. Correct column "
        "'split' of the table and import again."
    )


# --- the command ---


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "own.csv"
    changed(own_sides(train="abc", dev="d", test="e"), 0, split="test").write(path)
    return path


def test_the_command_lists_what_each_protocol_is_for(capsys):
    assert run(["split", "--list", "--json"]) == 0
    rows = {row["protocol"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == [protocol.name for protocol in list_protocols()]
    assert rows["emobox-6fold"]["corpus"] == "ravdess" and rows["emobox-6fold"]["folds"] == "6"
    assert rows["leave-one-speaker-out"]["corpus"] == "any"
    assert "LOSO-24" in rows["leave-one-speaker-out"]["known as"]
    apart = {name: row["speaker-independent"] for name, row in rows.items()}
    assert apart["random-5fold"] == "no" and apart["tess-2fold"] == "test yes, dev no"
    assert set(apart.values()) == {"yes", "no", "test yes, dev no", "as the table has it"}
    assert run(["split", "--list"]) == 0
    assert "emobox-6fold" in capsys.readouterr().out


def test_the_command_refuses_a_leak_and_stamps_an_allowed_one(table, tmp_path, capsys):
    arguments = ["split", str(table), "--protocol", "own", "-o", str(tmp_path / "split.json")]
    assert run(arguments) == 2
    assert "1 speaker (own:a) in both train and test; expected none" in capsys.readouterr().err
    assert not (tmp_path / "split.json").exists()
    assert run([*arguments, "--allow-leak"]) == 0
    assert "LEAKY" in capsys.readouterr().out
    (split,) = read_splits(tmp_path / "split.json")
    assert split.leaky
    assert split.text == (
        "LEAKY: 1 speaker (own:a) in both train and test; the sides that came with the table"
    )


def test_excluded_clips_are_on_no_side(table, tmp_path, capsys):
    (tmp_path / "bad.csv").write_text("clip_id,reason\nown/a-0,silent\n", "utf-8")
    command = ["split", str(table), "--protocol", "own", "-o", str(tmp_path / "split.json")]
    assert run([*command, "--exclude", str(tmp_path / "bad.csv")]) == 0
    (split,) = read_splits(tmp_path / "split.json")
    assert "own/a-0" not in (*split.train, *split.dev, *split.test)
    # An experiment with the same list sees the same manifest.
    assert check_split(Manifest.read(table).excluding({"own/a-0": "silent"}), split) == ()
