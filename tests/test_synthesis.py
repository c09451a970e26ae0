"""The synthetic voices: what they are called, how they sound, and how hard they are to tell apart.

Pitch is measured by autocorrelation, written here: it knows nothing of how the voices are made.
"""

from collections import Counter
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from affectus import synthesis
from affectus.corpora import find_corpus, load_corpus
from affectus.emotions import EMOTIONS
from affectus.errors import ConfigError, CorpusError, LabelError
from affectus.face_rows import split_rows
from affectus.features import create_extractor
from affectus.media import open_video, read_audio
from affectus.synthesis import synthesize_voice, write_corpus
from affectus.synthesis.layouts import read_layout

SPEAKERS = range(1, 13)
RATE = 16_000


def measure_pitch(waveform, sample_rate=RATE):
    """Return the pitch (Hz) of each voiced 40 ms frame: the highest peak of the autocorrelation."""
    n = sample_rate * 4 // 100
    frames = np.lib.stride_tricks.sliding_window_view(waveform, n)[:: n // 2].astype(float)
    energy = np.square(frames).sum(axis=1)
    frames = frames[energy > energy.max() / 300]
    window = np.hanning(n)
    correlation, own = (
        np.fft.irfft(np.abs(np.fft.rfft(x, 4 * n)) ** 2)[..., :n] for x in (frames * window, window)
    )
    correlation = correlation / correlation[:, :1] / (own / own[0])
    first, last = sample_rate // 500, sample_rate // 70
    lags = correlation[:, first:last].argmax(axis=1) + first
    voiced = correlation[np.arange(len(lags)), lags] > 0.6
    return sample_rate / lags[voiced]


def measure_level(waveform):
    """Return the level in dB of what is within 40 dB of the loudest 20 ms."""
    frames = waveform[: len(waveform) // 320 * 320].reshape(-1, 320).astype(float)
    energy = np.square(frames).mean(axis=1)
    return 10 * np.log10(energy[energy > energy.max() / 1e4].mean())


def measure_brightness(waveform):
    """Return in dB how much lies above 1 kHz for what lies below."""
    power = np.abs(np.fft.rfft(waveform)) ** 2
    edge = len(waveform) * 1_000 // RATE
    return 10 * np.log10(power[edge:].sum() / power[:edge].sum())


def measure_speech(waveform):
    """Return the seconds from the first to the last 20 ms within 30 dB of the loudest."""
    frames = waveform[: len(waveform) // 320 * 320].reshape(-1, 320)
    energy = np.square(frames).sum(axis=1)
    loud = np.flatnonzero(energy > energy.max() / 1e3)
    return (loud[-1] - loud[0] + 1) * 320 / RATE


@pytest.fixture(scope="module")
def voices():
    """Waveforms by (speaker, emotion, intensity)."""
    return {
        key: synthesize_voice(key[1], speaker=key[0], intensity=key[2])
        for key in product(SPEAKERS, EMOTIONS, ("normal", "strong"))
    }


@pytest.fixture(scope="module")
def measured(voices):
    """Median pitch (semitones above 100 Hz), level, brightness and seconds of each voice."""
    return {
        key: (
            12 * np.log2(np.median(measure_pitch(waveform)) / 100),
            measure_level(waveform),
            measure_brightness(waveform),
            measure_speech(waveform),
        )
        for key, waveform in voices.items()
    }


def mean_by_emotion(measured, column, intensity="normal"):
    return {
        emotion: np.mean([measured[speaker, emotion, intensity][column] for speaker in SPEAKERS])
        for emotion in EMOTIONS
    }


# --- one clip ----------------------------------------------------------------------------------


def test_clip_is_finite_float32_within_full_scale_and_about_two_seconds(voices):
    for waveform in voices.values():
        assert waveform.dtype == np.float32
        assert waveform.ndim == 1
        assert np.isfinite(waveform).all()
        assert 0.001 < np.abs(waveform).max() <= 1.0
        assert 1.0 < len(waveform) / RATE < 3.5
    assert 1.5 < np.mean([len(waveform) / RATE for waveform in voices.values()]) < 2.5


def test_clip_begins_and_ends_in_quiet(voices):
    for waveform in voices.values():
        edges = np.concatenate([waveform[:800], waveform[-800:]])
        assert measure_level(waveform) - measure_level(edges) > 15


def test_same_arguments_give_same_samples_whatever_came_before():
    first = synthesize_voice("sad", speaker=3, sentence=1)
    synthesize_voice("angry", speaker=4, seed=9)
    np.random.default_rng(0).random(5)
    assert np.array_equal(first, synthesize_voice("sad", speaker=3, sentence=1))


@pytest.mark.parametrize(
    "change",
    [
        {"speaker": 5},
        {"sex": "female"},
        {"intensity": "strong"},
        {"sentence": 2},
        {"repetition": 2},
        {"seed": 1},
    ],
)
def test_every_argument_changes_the_clip(change):
    plain = {"speaker": 3, "sex": "male", "sentence": 1}
    first, second = (synthesize_voice("sad", **(plain | c)) for c in ({}, change))
    assert len(first) != len(second) or not np.array_equal(first, second)


def test_emotion_is_known_by_any_spelling():
    assert np.array_equal(synthesize_voice("ANG", speaker=1), synthesize_voice("anger", speaker=1))


@pytest.mark.parametrize("sample_rate", [8_000, 24_414, 48_000])
def test_pitch_and_length_do_not_depend_on_the_sample_rate(sample_rate, voices, measured):
    waveform = synthesize_voice("happy", speaker=2, sample_rate=sample_rate)
    assert abs(len(waveform) / sample_rate - len(voices[2, "happy", "normal"]) / RATE) < 0.01
    semitones = 12 * np.log2(np.median(measure_pitch(waveform, sample_rate)) / 100)
    assert abs(semitones - measured[2, "happy", "normal"][0]) < 1


def test_men_and_women_speak_at_their_usual_pitch(measured):
    # Baken and Orlikoff (2000), Clinical Measurement of Speech and Voice: means of about 120 and
    # 210 Hz; single speakers within about 85 to 165 and 155 to 275 Hz.
    hertz = {s: 100 * 2 ** (measured[s, "neutral", "normal"][0] / 12) for s in SPEAKERS}
    assert all(85 < hertz[speaker] < 165 for speaker in SPEAKERS if speaker % 2)
    assert all(155 < hertz[speaker] < 275 for speaker in SPEAKERS if speaker % 2 == 0)


def test_sex_can_be_said():
    low, high = (
        np.median(measure_pitch(synthesize_voice("neutral", speaker=1, sex=sex)))
        for sex in ("male", "female")
    )
    assert low < 165 < high


# --- the cues: directions from Juslin and Laukka (2003) and Scherer (2003) ----------------------


def test_anger_is_louder_than_sadness_for_every_speaker(measured):
    for speaker in SPEAKERS:
        angry, sad = (measured[speaker, emotion, "normal"][1] for emotion in ("angry", "sad"))
        assert angry > sad + 5


def test_pitch_is_raised_in_aroused_emotions_and_lowered_in_sadness_and_calm(measured):
    pitch = mean_by_emotion(measured, 0)
    for raised in ("happy", "angry", "fearful", "surprised"):
        assert pitch[raised] > pitch["neutral"] + 2
    for lowered in ("sad", "calm"):
        assert pitch[lowered] < pitch["neutral"] - 0.5


def test_level_is_raised_in_anger_and_joy_and_lowered_in_sadness_and_calm(measured):
    level = mean_by_emotion(measured, 1)
    assert level["angry"] > level["happy"] > level["neutral"] > max(level["sad"], level["calm"])


def test_high_frequencies_are_strong_in_anger_and_weak_in_calm(measured):
    brightness = mean_by_emotion(measured, 2)
    assert brightness["angry"] > brightness["neutral"] > brightness["calm"]


def test_speech_is_fast_in_fear_and_slow_in_sadness_and_calm(measured):
    seconds = mean_by_emotion(measured, 3)
    assert seconds["fearful"] < seconds["happy"] < seconds["neutral"]
    assert seconds["neutral"] < min(seconds["sad"], seconds["calm"])


def test_pitch_rises_at_the_end_of_surprise_and_falls_in_disgust(voices):
    def ending(speaker, emotion):
        pitch = 12 * np.log2(measure_pitch(voices[speaker, emotion, "normal"]))
        return np.median(pitch[-8:]) - np.median(pitch)

    rise, fall = (np.median([ending(s, e) for s in SPEAKERS]) for e in ("surprised", "disgust"))
    assert rise > 1 > -0.5 > fall


def test_strong_intensity_is_further_from_neutral(measured):
    for column, emotion in ((0, "fearful"), (1, "angry"), (3, "calm")):
        steps = [mean_by_emotion(measured, column)["neutral"]]
        steps += [mean_by_emotion(measured, column, i)[emotion] for i in ("normal", "strong")]
        near, far = (abs(b - a) for a, b in pairwise(steps))
        assert near > 0
        assert abs(steps[2] - steps[0]) > near + far / 2


# --- how hard it is ----------------------------------------------------------------------------


def score_unseen_speakers(rows, classifier):
    """Return the UAR on speakers 9 to 12 of a classifier trained on 1 to 8."""
    train, test = ([key for key in rows if (key[0] <= 8) == side] for side in (True, False))
    model = make_pipeline(StandardScaler(), classifier)
    model.fit(np.array([rows[key] for key in train]), [key[1] for key in train])
    answers = model.predict(np.array([rows[key] for key in test]))
    return balanced_accuracy_score([key[1] for key in test], answers)


def test_emotion_of_unseen_speakers_can_be_learnt_from_log_mel_statistics(voices):
    extract = create_extractor("logmel")
    rows = {}
    for key, waveform in voices.items():
        frames = extract(waveform, RATE)
        rows[key] = np.concatenate([frames.mean(axis=0), frames.std(axis=0)])
    score = score_unseen_speakers(rows, LogisticRegression(C=0.1, max_iter=1_000))
    assert score >= 0.6  # chance is 0.125
    assert score < 0.98  # and it is a test


@pytest.mark.parametrize("column", [0, 1, 2, 3], ids=["pitch", "level", "brightness", "seconds"])
def test_no_single_cue_gives_the_emotion_away(measured, column):
    rows = {key: [values[column]] for key, values in measured.items()}
    assert score_unseen_speakers(rows, SVC(C=5)) < 0.5


# --- corpora -----------------------------------------------------------------------------------


def test_ravdess_is_read_without_a_fault(tmp_path):
    paths = write_corpus("ravdess", tmp_path, n_speakers=2)
    manifest = load_corpus("ravdess", tmp_path)
    assert [clip.path for clip in manifest] == sorted(paths, key=lambda path: path.stem)
    assert not any(clip.fault for clip in manifest)
    assert manifest.notes == ()
    assert len({clip.sha256 for clip in manifest}) == 120
    # Livingstone and Russo (2018): 60 clips an actor: 4 neutral, 8 of each other emotion.
    for speaker in ("ravdess:01", "ravdess:02"):
        counts = Counter(clip.emotion for clip in manifest if clip.speaker == speaker)
        assert counts == {emotion: 4 if emotion == "neutral" else 8 for emotion in EMOTIONS}
    by_sex = {"male": [], "female": []}
    for clip in manifest:
        if clip.emotion == "neutral":
            by_sex[clip.sex].append(np.median(measure_pitch(soundfile.read(clip.path)[0])))
    assert max(by_sex["male"]) < min(by_sex["female"])


def test_file_is_16_bit_mono_at_the_rate_asked_for(tmp_path):
    (path, *_) = write_corpus(
        "savee", tmp_path, n_speakers=1, n_sentences=1, sample_rate=44_100, ending=".flac"
    )
    info = soundfile.info(path)
    found = (info.format, info.subtype, info.samplerate, info.channels)
    assert found == ("FLAC", "PCM_16", 44_100, 1)


def test_films_have_the_names_of_films_and_their_faces_and_voices_are_of_one_length(
    tmp_path, monkeypatch
):
    def two_takes(name, part=""):
        layout = read_layout(name, part)
        return layout._replace(takes=layout.takes[:30:29])  # of actor 1

    monkeypatch.setattr(synthesis, "read_layout", two_takes)
    paths = write_corpus("ravdess", tmp_path / "one", ending=".mp4")
    manifest = load_corpus("ravdess", tmp_path / "one")
    assert len(paths) == 2 and not any(clip.fault for clip in manifest)
    assert {clip.path for clip in manifest} == set(paths)
    for path in paths:
        assert path.stem.startswith("01-01-")  # Livingstone and Russo: modality 01 is full-AV
        with open_video(path) as video:
            rows = split_rows(create_extractor("face_crops", size=32)(video))
        assert rows.found.mean() > 0.9 and video.warnings == []
        assert video.picture.end == pytest.approx(video.sound.end, abs=1 / 15)
        heard = read_audio(path).waveform
        assert np.abs(heard).max() > 0.01 and len(heard) / 16_000 > 1
    again = write_corpus("ravdess", tmp_path / "two", ending=".mp4")
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]


def test_bytes_of_a_clip_depend_on_seed_corpus_and_name_only(tmp_path):
    def write(name, **settings):
        paths = write_corpus("savee", tmp_path / name, n_sentences=1, **settings)
        return {path.relative_to(tmp_path / name).as_posix(): path.read_bytes() for path in paths}

    one, again = write("one", n_speakers=1), write("again", n_speakers=2)
    assert len(one) == 8
    assert one == {name: again[name] for name in one}
    other = write("other", n_speakers=1, seed=1)
    assert other.keys() == one.keys()
    assert not set(other.values()) & set(one.values())


@pytest.fixture
def list_names(monkeypatch, tmp_path):
    """Return a function that lists a whole corpus without synthesising it, and who speaks."""
    monkeypatch.setattr(synthesis, "write_audio", lambda path, waveform, rate: None)

    def list_corpus(corpus, **settings):
        spoken = []
        monkeypatch.setattr(synthesis, "synthesize_voice", lambda **s: spoken.append(s))
        paths = write_corpus(corpus, tmp_path, **settings)
        return [path.relative_to(tmp_path).as_posix() for path in paths], spoken

    return list_corpus


def test_ravdess_has_the_1440_published_names(list_names):
    names, _ = list_names("ravdess")
    published = {
        f"Actor_{actor:02d}/03-01-{emotion:02d}-{intensity:02d}-{statement:02d}-{take:02d}-{actor:02d}.wav"
        for actor, emotion, intensity, statement, take in product(
            range(1, 25), range(1, 9), (1, 2), (1, 2), (1, 2)
        )
        if (emotion, intensity) != (1, 2)
    }
    assert len(names) == 1_440
    assert set(names) == published


def test_cremad_has_the_7442_clips_of_91_actors_that_were_published(list_names):
    names, spoken = list_names("cremad")
    assert len(set(names)) == len(names) == 7_442
    assert "AudioWAV/1001_DFA_ANG_XX.wav" in names
    fields = [Path(name).stem.split("_") for name in names]
    # 82 an actor, but of five actors one sentence, or neutral of one, was never published.
    short = {"1002": 81, "1008": 76, "1009": 76, "1019": 76, "1076": 81}
    assert Counter(actor for actor, *_ in fields) == {
        str(actor): short.get(str(actor), 82) for actor in range(1_001, 1_092)
    }
    first = [(s, e, level) for actor, s, e, level in fields if actor == "1001"]
    assert len({sentence for sentence, *_ in first}) == 12
    graded = {(e, level) for s, e, level in first if s == "IEO"}
    assert graded == {
        ("NEU", "XX"),
        *product(("ANG", "DIS", "FEA", "HAP", "SAD"), ("LO", "MD", "HI")),
    }
    assert all(level == "XX" for s, _, level in first if s != "IEO")
    # Cao et al. (2014): 48 men and 43 women.
    sexes = {s["speaker"]: s["sex"] for s in spoken}
    assert Counter(sexes.values()) == {"male": 48, "female": 43}
    assert (sexes[1001], sexes[1002]) == ("male", "female")


def test_savee_has_120_clips_of_each_of_four_men(list_names):
    names, spoken = list_names("savee")
    assert len(set(names)) == len(names) == 480
    assert Counter(Path(name).parts[1] for name in names) == dict.fromkeys(
        ("DC", "JE", "JK", "KL"), 120
    )
    codes = Counter(Path(name).stem[:-2] for name in names if "/DC/" in name)
    assert codes == {"a": 15, "d": 15, "f": 15, "h": 15, "n": 30, "sa": 15, "su": 15}
    assert {"AudioData/DC/a01.wav", "AudioData/KL/n30.wav"} <= set(names)
    assert {s["sex"] for s in spoken} == {"male"}


def test_tess_has_200_words_of_two_women_in_seven_emotions(list_names):
    names, spoken = list_names("tess")
    assert len(set(names)) == len(names) == 2_800
    assert {
        "OAF_Fear/OAF_back_fear.wav",
        "OAF_angry/OAF_back_angry.wav",
        "YAF_pleasant_surprised/YAF_youth_ps.wav",
        "OAF_neutral/OA_bite_neutral.wav",  # so it was published
    } <= set(names)
    assert set(Counter(Path(name).parent.name for name in names).values()) == {200}
    assert len({Path(name).stem.split("_")[1] for name in names}) == 200
    assert Counter(s["emotion"] for s in spoken) == {e: 400 for e in EMOTIONS if e != "calm"}


# Burkhardt et al. (2005), Das et al. (2022); nEMO: nine speakers, six emotions, 90 sentences.
@pytest.mark.parametrize(
    ("corpus", "n_clips"), [("emodb", 535), ("banglaser", 1_467), ("nemo", 9 * 6 * 90)]
)
def test_every_name_is_read_by_its_reader(corpus, n_clips, list_names):
    names, spoken = list_names(corpus)
    assert len(set(names)) == len(names) == n_clips
    for name, said in zip(names, spoken, strict=True):
        clip = find_corpus(corpus).read_clip(Path(name))
        assert (said["emotion"], said["sex"]) == (clip.emotion or "calm", clip.sex)
        assert said["intensity"] == ("strong" if clip.intensity == "strong" else "normal")


@pytest.mark.parametrize("corpus", ["banglaser", "emodb", "nemo"])
def test_synthetic_files_are_read_without_a_fault(corpus, tmp_path):
    paths = write_corpus(corpus, tmp_path, n_speakers=1, n_sentences=1)
    manifest = load_corpus(corpus, tmp_path)
    assert sorted(clip.path for clip in manifest) == sorted(paths)
    assert not any(clip.fault for clip in manifest)
    assert len({clip.sha256 for clip in manifest}) == len(paths)


@pytest.mark.parametrize(
    ("corpus", "n_clips"),
    [
        ("banglaser", 15), ("cremad", 16), ("emodb", 3), ("nemo", 6), ("ravdess", 30), ("savee", 8),
        ("tess", 7),
    ],
)  # fmt: skip
def test_size_can_be_limited(corpus, n_clips, list_names):
    names, _ = list_names(corpus, n_speakers=1, n_sentences=1)
    assert len(names) == n_clips


# --- errors ------------------------------------------------------------------------------------


def test_unknown_corpus_names_the_known_and_the_nearest(tmp_path):
    with pytest.raises(CorpusError) as caught:
        write_corpus("ravdes", tmp_path)
    assert str(caught.value) == (
        "CorpusError: no synthetic corpus 'ravdes'; known corpora: banglaser, cremad, emodb, nemo, "
        "ravdess, savee, tess. Did you mean 'ravdess'?"
    )


def test_folder_that_is_a_file_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("kept")
    with pytest.raises(CorpusError, match=r"file: a file; expected a folder to write to\. Give"):
        write_corpus("savee", path)
    assert path.read_text() == "kept"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_speakers": 5}, "n_speakers is '5'; expected 1 to 4 for savee. Change it."),
        ({"n_sentences": 0}, "n_sentences is '0'; expected 1 to 15 for savee. Change it."),
        ({"ending": ".mp3"}, "ending is '.mp3'; expected .wav or .flac. Change it."),
        ({"sample_rate": 10}, "sample_rate is '10'; expected 8000 to 192000 Hz. Change it."),
    ],
)
def test_setting_out_of_range_is_refused_before_anything_is_written(settings, message, tmp_path):
    with pytest.raises(ConfigError) as caught:
        write_corpus("savee", tmp_path / "new", **settings)
    assert str(caught.value) == f"ConfigError: {message}"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sex": "x"}, "sex is 'x'; expected male or female. Change it."),
        ({"intensity": "mild"}, "intensity is 'mild'; expected low, normal or strong. Change it."),
    ],
)
def test_voice_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ConfigError) as caught:
        synthesize_voice("sad", speaker=1, **settings)
    assert str(caught.value) == f"ConfigError: {message}"


def test_unknown_emotion_is_refused():
    with pytest.raises(LabelError, match=r"emotion 'hungry' is not known; known emotions: neutral"):
        synthesize_voice("hungry", speaker=1)
