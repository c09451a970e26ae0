"""What gives the emotion away: each planted confusion is found, and what is balanced is not."""

from itertools import product

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score
from sklearn.naive_bayes import CategoricalNB

from affectus.audit import AuditReport
from affectus.audit.confounding import check_confounds, find_confounds
from affectus.audit.listening import Heard
from affectus.manifest import Clip, Manifest

EMOTIONS = ("angry", "happy", "neutral", "sad")


def heard(seconds=2.0, level=-20.0, rate=16_000, channels=1, codec="wav pcm_16", cutoff=None):
    return Heard(b"", "", seconds, level, cutoff, rate, channels, codec, (), b"")


def corpus(change=lambda clip, rng: {}, *, speakers=6, takes=5, name="own", emotions=EMOTIONS):
    """Balanced clips of random length and loudness, each heard as `change` says."""
    rng = np.random.default_rng(0)
    clips, found = [], {}
    for speaker, emotion, take in product(range(speakers), emotions, range(takes)):
        clip = Clip(f"{name}/{speaker}-{emotion}-{take}", name, "", f"{name}:{speaker}", emotion)
        values = {"seconds": rng.uniform(1, 3), "level": rng.normal(-25, 5)}
        found[clip.clip_id] = heard(**{**values, **change(clip, rng)})
        clips.append(clip)
    return Manifest(tuple(clips)), found


def confounds(manifest, found):
    return {confound.trait: confound for confound in find_confounds(manifest, found)}


def findings(manifest, found):
    return {f.check: f for f in check_confounds(find_confounds(manifest, found))}


def test_a_balanced_corpus_has_none():
    assert findings(*corpus()) == {}
    found = confounds(*corpus())
    assert set(found) == {"length", "loudness", "speaker"}  # one channel: nothing to ask
    assert found["length"].chance == pytest.approx(1 / 4, abs=0.03)
    assert found["loudness"].chance == pytest.approx(1 / 4, abs=0.03)
    assert min(confound.p_value for confound in found.values()) > 0.01
    assert found["speaker"].uar == pytest.approx(1 / 4)  # five clips of each emotion by each
    assert found["speaker"].chance > 0.3  # shuffled, no speaker has five of each


# --- length and loudness ---


def by_emotion(*values):
    return dict(zip(EMOTIONS, values, strict=True))


@pytest.mark.parametrize(
    ("trait", "key", "values"),
    [
        ("length", "seconds", by_emotion(1.0, 2.0, 3.0, 4.0)),
        ("loudness", "level", by_emotion(-10.0, -20.0, -30.0, -40.0)),
    ],
)
def test_a_trait_that_is_the_emotion_is_a_warning(trait, key, values):
    report = corpus(lambda clip, rng: {key: values[clip.emotion] * rng.uniform(0.98, 1.02)})
    found = confounds(*report)[trait]
    assert found.uar == pytest.approx(1.0)
    assert found.separation == pytest.approx(1.0)
    assert found.p_value == pytest.approx(1 / 200)  # better than each of 199 shuffles
    assert (found.low, found.high) == (pytest.approx(1.0), pytest.approx(1.0))
    finding = findings(*report)[f"confounded: {trait}"]
    assert finding.severity == "warning"
    assert f"own: {trait} alone gives UAR 1.00 [1.00, 1.00] where chance is 0.2" in finding.message


@pytest.mark.parametrize(("trait", "key"), [("length", "seconds"), ("loudness", "level")])
def test_one_emotion_that_a_trait_tells_is_a_warning_although_the_others_are_alike(trait, key):
    odd = {"seconds": 9.0, "level": -60.0}[key]
    report = corpus(lambda clip, rng: {key: odd} if clip.emotion == "sad" else {})
    found = confounds(*report)[trait]
    assert (found.emotion, found.separation) == ("sad", pytest.approx(1.0, abs=0.05))
    assert found.uar < 0.65  # the other three are as they were
    assert findings(*report)[f"confounded: {trait}"].severity == "warning"


def test_what_acted_speech_usually_has_is_a_note():
    louder = by_emotion(5.0, 0.0, 0.0, -2.0)  # dB: anger is loud, sadness soft
    report = corpus(
        lambda clip, rng: {"level": -25 + louder[clip.emotion] + rng.normal(0, 4)},
        speakers=12, takes=10,
    )  # fmt: skip
    finding = findings(*report)["confounded: loudness"]
    assert finding.severity == "note"
    assert "loudness is part of how emotion is acted" in finding.remedy
    assert "confounded: length" not in findings(*report)


def test_a_length_that_only_known_speakers_give_away_does_not_count():
    # Each speaker has an order of lengths of their own: known speakers' clips would tell it all.
    def change(clip, rng):
        place = (EMOTIONS.index(clip.emotion) + int(clip.speaker[-1])) % 4
        return {"seconds": 1.0 + place + rng.uniform(0, 0.1)}

    found = confounds(*corpus(change, speakers=8))["length"]
    assert found.uar < 0.35


def test_the_shallow_model_is_naive_bayes_on_eighths():
    # Oracle: scikit-learn's CategoricalNB with equal priors, on the training speakers' eighths.
    rng = np.random.default_rng(3)
    manifest, found = corpus(
        lambda clip, rng: {"seconds": np.exp(rng.normal(0.1 * len(clip.emotion), 0.3))},
        speakers=5, takes=20,
    )  # fmt: skip
    del rng
    values = np.log([found[clip.clip_id].seconds for clip in manifest])
    labels = np.array([EMOTIONS.index(clip.emotion) for clip in manifest])
    speakers = np.array([int(clip.speaker[-1]) for clip in manifest])
    said = np.zeros(len(labels), int)
    for speaker in range(5):  # five speakers: each is a fold
        train = speakers != speaker
        edges = np.quantile(values[train], np.arange(1, 8) / 8)
        eighths = np.searchsorted(edges, values)[:, None]
        model = CategoricalNB(alpha=1.0, class_prior=np.full(4, 0.25), min_categories=8)
        model.fit(eighths[train], labels[train])
        said[~train] = model.predict(eighths[~train])
    expected = balanced_accuracy_score(labels, said)
    assert confounds(manifest, found)["length"].uar == pytest.approx(expected)


# --- speaker, channel, corpus ---


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"rate": 48_000}, {"rate": 16_000}),
        ({"codec": "ogg vorbis"}, {"codec": "wav pcm_16"}),
        ({"channels": 2}, {"channels": 1}),
        ({"cutoff": 3_400}, {"cutoff": None}),
    ],
)
def test_an_emotion_stored_otherwise_is_a_warning(one, other):
    report = corpus(lambda clip, rng: one if clip.emotion == "angry" else other)
    found = confounds(*report)["channel"]
    assert found.uar == pytest.approx(2 / 4)  # two groups tell two of four emotions
    assert (found.emotion, found.separation) == ("angry", pytest.approx(1.0, abs=0.25))
    assert findings(*report)["confounded: channel"].severity == "warning"


def test_channels_spread_evenly_are_fine():
    report = corpus(lambda clip, rng: {"rate": 48_000 if clip.clip_id.endswith("1") else 16_000})
    assert findings(*report) == {}
    assert confounds(*report)["channel"].uar == pytest.approx(0.25)


def test_a_channel_that_goes_with_the_speaker_is_the_speaker_s():
    report = corpus(lambda clip, rng: {"rate": 48_000 if clip.speaker == "own:1" else 16_000})
    assert findings(*report) == {}


def test_speakers_of_one_emotion_each_are_a_warning():
    manifest, found = corpus(speakers=8)
    clips = tuple(c for c in manifest if EMOTIONS[int(c.speaker[-1]) % 4] == c.emotion)
    report = Manifest(clips), {clip.clip_id: found[clip.clip_id] for clip in clips}
    assert confounds(*report)["speaker"].uar == pytest.approx(1.0)
    finding = findings(*report)["confounded: speaker"]
    assert finding.severity == "warning"
    assert finding.message.startswith("own: speaker alone gives UAR 1.00 where chance is 0.")


def test_an_emotion_that_few_speakers_have_is_a_warning():
    manifest, found = corpus(speakers=12)
    clips = tuple(c for c in manifest if c.emotion != "sad" or int(c.speaker.split(":")[1]) < 2)
    finding = findings(Manifest(clips), found)["confounded: speaker"]
    assert (finding.severity, finding.message.split()[-1]) == ("warning", "sad")


def test_an_emotion_of_one_corpus_alone_is_a_warning():
    one, heard_one = corpus(name="one")
    two, heard_two = corpus(name="two", emotions=EMOTIONS[:3])
    both = Manifest((*one.clips, *two.clips))
    found = findings(both, heard_one | heard_two)
    assert set(found) == {"confounded: corpus"}
    assert found["confounded: corpus"].severity == "warning"
    assert found["confounded: corpus"].message.endswith("most of all sad")


def test_two_corpora_with_the_same_emotions_are_fine():
    one, heard_one = corpus(name="one")
    two, heard_two = corpus(name="two", takes=9)
    both = Manifest((*one.clips, *two.clips))
    assert findings(both, heard_one | heard_two) == {}


# --- what cannot be asked ---


def test_a_few_clips_are_asked_nothing():
    assert find_confounds(*corpus(speakers=3, takes=3)) == ()  # 36


def test_one_speaker_cannot_be_asked_about_length():
    assert find_confounds(*corpus(speakers=1, takes=20)) == ()


def test_silent_clips_and_clips_of_nobody_do_not_spoil_it():
    manifest, found = corpus(lambda clip, rng: {"level": -120.0} if "0-sad" in clip.clip_id else {})
    assert set(confounds(manifest, found)) == {"length", "loudness", "speaker"}
    nobody = Manifest(tuple(Clip(c.clip_id, "own", "", "", c.emotion) for c in manifest))
    assert find_confounds(nobody, found) == ()


def test_the_same_corpus_gives_the_same_figures():
    assert find_confounds(*corpus()) == find_confounds(*corpus())


def test_an_exclusion_list_is_not_made_of_confounds():
    manifest, found = corpus(lambda clip, rng: {"rate": 16_000 + len(clip.emotion)})
    report = AuditReport((), tuple(check_confounds(find_confounds(manifest, found))))
    assert report.findings
    assert report.ok
    assert report.exclusions() == {}
