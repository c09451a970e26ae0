"""Films: what is heard and what is seen, each by itself and together, and what was missing.

Expected scores are torch's, of the same network, from the features that training would see.
"""

import csv
import io
import json
import tracemalloc

import msgspec
import numpy as np
import pytest
import torch
from film_models import FACE, LABELS, RATE, VOICE, blank, make_film, person, voice, write_film_model
from making import encode_av

from affectus.cli import run
from affectus.errors import ConfigError, LimitError, MediaError, ModelError
from affectus.face_rows import split_rows
from affectus.features import create_extractor
from affectus.media import Limits, open_video, read_audio, write_audio
from affectus.model_folder import MemberWeights, ModelFacts, hash_folder, read_model, write_facts
from affectus.models import Inputs
from affectus.predictor import load_model

pytestmark = pytest.mark.usefixtures("one_thread")

MODELS = ("av_attention", "branched_lstm", "face_cnn_lstm", "crnn")
SECONDS = 2.0


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("films")


@pytest.fixture(scope="module")
def networks(place):
    return {
        name: write_film_model(place / name, name, seed=seed) for seed, name in enumerate(MODELS)
    }


@pytest.fixture(scope="module")
def models(place, networks):
    return {name: load_model(place / name, speech="energy") for name in MODELS}


@pytest.fixture(scope="module")
def model(models):
    return models["av_attention"]


@pytest.fixture(scope="module")
def both():
    return make_film(person(SECONDS), voice(SECONDS))


def hear(data, start=0.0, end=None):
    waveform = read_audio(data).waveform[round(start * RATE) : end and round(end * RATE)]
    return torch.from_numpy(VOICE(waveform, RATE))


def see(data, start=0.0, end=np.inf):
    with open_video(data, rate=FACE.rate) as video:
        rows = split_rows(FACE(video))
    inside = rows.found & (rows.times >= start - 1e-4) & (rows.times < end - 1e-4)
    return torch.from_numpy(rows.values[inside].astype(np.float32))


def expected(network, voice, face):
    """Torch's scores by label; None is a stream that is not there."""
    voice = torch.zeros(0, VOICE.n_mels) if voice is None else voice
    n_pixels = int(np.prod(FACE.shape))
    face = torch.zeros(0, n_pixels) if face is None else face
    inputs = Inputs(
        torch.cat([voice, torch.zeros(1, voice.shape[1])])[None],
        torch.tensor([len(voice)]),
        torch.cat([face, torch.zeros(1, n_pixels)])[None],
        torch.tensor([len(face)]),
    )
    with torch.no_grad():
        scores = torch.softmax(network(inputs).double(), 1)[0]
    return dict(zip(LABELS, scores.tolist(), strict=True))


def assert_scores(found, wanted):
    assert found == pytest.approx(wanted, abs=2e-5)


# --- both, and each ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["av_attention", "branched_lstm"])
def test_a_film_is_answered_by_voice_and_face_as_the_trained_network_does(
    models, networks, both, name
):
    answer = models[name].predict(both)
    heard, seen = hear(both), see(both)
    assert len(seen) > 20
    assert answer.used == ["voice", "face"] and answer.why == "voice and face"
    assert_scores(answer.scores, expected(networks[name], heard, seen))
    assert_scores(answer.streams["voice"], expected(networks[name], heard, None))
    assert_scores(answer.streams["face"], expected(networks[name], None, seen))
    assert answer.streams["voice"] != pytest.approx(answer.streams["face"], abs=1e-3)
    assert answer.warnings == []


def test_one_stream_can_be_asked_for(model, networks, both):
    whole = model.predict(both)
    for only in ("voice", "face"):
        answer = model.predict(both, only=only)
        assert answer.used == [only]
        assert answer.why == f"{only} alone: the {only} only was asked for"
        assert_scores(answer.scores, whole.streams[only])
        assert answer.streams == {only: answer.scores}


def test_a_recording_of_sound_is_answered_by_the_voice(model, networks, tmp_path):
    write_audio(tmp_path / "x.wav", voice(SECONDS))
    data = (tmp_path / "x.wav").read_bytes()
    answer = model.predict(tmp_path / "x.wav")
    assert answer.used == ["voice"] and answer.why == "voice alone: no pictures in it"
    assert_scores(answer.scores, expected(networks["av_attention"], hear(data), None))
    array = model.predict((read_audio(data).waveform, RATE))
    assert array.why == "voice alone: no pictures in it"
    assert_scores(array.scores, answer.scores)


def test_a_film_without_sound_is_answered_by_the_face(model, networks):
    data = make_film(person(SECONDS))
    answer = model.predict(data)
    assert answer.used == ["face"] and answer.why == "face alone: no sound in it"
    assert_scores(answer.scores, expected(networks["av_attention"], None, see(data)))


def test_a_film_with_silence_for_sound_is_answered_by_the_face(model):
    answer = model.predict(make_film(person(SECONDS), np.zeros(2 * RATE, np.float32)))
    assert answer.used == ["face"] and answer.why == "face alone: no speech"
    assert any(text.startswith("W1304") for text in answer.warnings)


def test_a_film_without_a_face_is_answered_by_the_voice(model, networks):
    data = make_film(blank(SECONDS), voice(SECONDS))
    answer = model.predict(data)
    assert answer.used == ["voice"]
    assert answer.why == "voice alone: no face found in 100% of 30 frames"
    assert any(text.startswith("W1702 a face in 0% of 30 frames") for text in answer.warnings)
    assert_scores(answer.scores, expected(networks["av_attention"], hear(data), None))


def test_a_face_in_too_few_frames_does_not_count(model):
    data = make_film([*person(0.6), *blank(1.4)], voice(SECONDS))
    answer = model.predict(data)
    assert answer.used == ["voice"]
    assert answer.why == "voice alone: no face found in 70% of 30 frames"


def test_neither_speech_nor_a_face_is_no_answer(model):
    answer = model.predict(make_film(blank(SECONDS), np.zeros(2 * RATE, np.float32)))
    assert answer.emotion is None and answer.reason == "no speech and no face"
    assert answer.scores == {} and answer.used == [] and answer.streams == {}
    assert answer.why == "neither voice nor face: no speech, no face found in 100% of 30 frames"


# --- models of one stream ----------------------------------------------------------------------


def test_a_model_of_faces_alone_looks_at_films_alone(models, networks, both, tmp_path):
    model = models["face_cnn_lstm"]
    answer = model.predict(both)
    assert answer.used == ["face"] and answer.why == "face alone"
    assert_scores(answer.scores, expected(networks["face_cnn_lstm"], None, see(both)))
    nobody = model.predict(make_film(blank(SECONDS)))
    assert (nobody.emotion, nobody.reason) == (None, "no face")
    write_audio(tmp_path / "x.wav", voice(SECONDS))
    for source in (tmp_path / "x.wav", (voice(1), RATE)):
        with pytest.raises(MediaError, match=r"E1602 .*: no video stream .*expected pictures"):
            model.predict(source)
    with pytest.raises(ConfigError, match="voice only: model 'face_cnn_lstm' takes faces alone"):
        model.predict(both, only="voice")
    with pytest.raises(ConfigError, match="takes a face alone, which has no features to adapt"):
        model.learn_speaker([both])


def test_a_voice_model_says_that_it_did_not_look(models, both, tmp_path):
    model = models["crnn"]
    answer = model.predict(both)
    assert answer.used == ["voice"] and answer.streams == {}
    assert answer.why == "voice alone: there are pictures, but this model looks at no face"
    write_audio(tmp_path / "x.wav", voice(SECONDS))
    assert model.predict(tmp_path / "x.wav").why == "voice alone"
    with pytest.raises(ConfigError, match="face only: model 'crnn' takes a voice alone"):
        model.predict(both, only="face")


def test_a_network_never_shown_one_stream_alone_says_so(place, both):
    write_film_model(place / "plain", "av_attention", provenance={})
    model = load_model(place / "plain", speech="energy")
    assert model.predict(both).warnings == []
    assert model.predict(both, only="face").warnings == [
        "W1704 the model was trained without modality dropout: of face alone it knows little"
    ]


# --- who is seen, and what cannot be read ------------------------------------------------------


def beside(*people):
    return [np.hstack(frames) for frames in zip(*people, strict=True)]


def test_of_several_people_one_is_followed_and_that_is_said(model):
    two = beside(person(1, speaker=3), person(1, speaker=5))
    three = beside(*(person(1, speaker=speaker, size=(144, 144)) for speaker in (3, 5, 6)))
    for n_people, pictures in ((2, two), (3, three)):
        answer = model.predict(make_film(pictures, voice(1)))
        assert answer.used == ["voice", "face"]
        assert f"W1703 {n_people} faces; followed is the one that was largest at first" in (
            answer.warnings
        )


def test_one_picture_is_no_film(model, models):
    data = make_film(person(1 / 15), voice(SECONDS))
    answer = model.predict(data)
    assert answer.used == ["voice"] and answer.why == "voice alone: one picture alone"
    with pytest.raises(MediaError, match=r"E1201 .*: 1 picture; expected a film of two at least"):
        models["face_cnn_lstm"].predict(data)


def test_what_cannot_be_read_is_refused_not_passed_over(model, both):
    with pytest.raises(MediaError) as caught:
        model.predict(both[: len(both) // 2], name="cut.mp4")
    assert caught.value.code == "E1402" and "cut.mp4" in str(caught.value)
    with pytest.raises(LimitError, match=r"E1502 .*pictures of too many pixels; the limit is 100"):
        model.predict(both, limits=Limits(max_pixels=100))
    with pytest.raises(LimitError, match="E1502"):
        model.predict(both, limits=Limits(max_seconds=1))
    with pytest.raises(MediaError, match="E1002"):
        model.predict(b"no recording at all")
    with pytest.raises(MediaError, match="E1601"):
        model.predict(make_film(person(1)), only="voice")
    with pytest.raises(MediaError, match="E1602"):
        model.predict(encode_av(voice(1), "mp4", "aac"), only="face")


def test_sound_and_picture_that_are_apart_are_told(model):
    answer = model.predict(make_film(person(3), voice(2), late=1.0, container="matroska"))
    assert any(text.startswith("W1701 sound 0.94 to 3.05 s") for text in answer.warnings)


# --- long films --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long():
    """Twelve seconds: nobody is seen from 4 to 8 s, nothing is said from 8 s on."""
    sound = np.concatenate([voice(8), np.zeros(round(3.8 * RATE), np.float32)])
    return make_film([*person(4), *blank(4), *person(4)], sound)


def test_a_long_film_is_a_timeline_of_both(model, networks, long):
    answer = model.predict(long, smooth=False)
    parts = {part.start: part for part in answer.segments}
    assert sorted(parts) == [0, 1.5, 3, 4.5, 6, 7.5, 9]
    heard = {start: hear(long, start, start + 3) for start in (0, 3, 4.5)}
    network = networks["av_attention"]
    assert_scores(parts[0].scores, expected(network, heard[0], see(long, 0, 3)))
    assert_scores(parts[0].streams["face"], expected(network, None, see(long, 0, 3)))
    assert_scores(parts[0].streams["voice"], expected(network, heard[0], None))
    assert_scores(parts[4.5].scores, expected(network, heard[4.5], None))
    assert list(parts[4.5].streams) == ["voice"]
    assert_scores(parts[9].scores, expected(network, None, see(long, 9, 12)))
    assert list(parts[9].streams) == ["face"]
    assert answer.why == "voice in 6 and face in 4 of 7 windows"
    assert_scores(
        answer.scores,
        {name: np.mean([part.scores[name] for part in parts.values()]) for name in LABELS},
    )


def test_segments_of_a_long_film_have_the_streams_own_scores(model, long):
    for part in model.predict(long).segments:
        assert part.streams
        for own in part.streams.values():
            assert sum(own.values()) == pytest.approx(1, abs=1e-5)


def test_sound_that_begins_late_is_heard_where_it_is(model):
    data = make_film(person(6), voice(3), late=3.0, container="matroska")
    first, second = model.predict(data, window=3, smooth=False).segments
    assert list(first.streams) == ["face"] and set(second.streams) == {"voice", "face"}


def test_the_pieces_in_which_a_film_comes_do_not_matter(model, long):
    waveform = read_audio(long).waveform
    stream = model.stream(RATE, only=None)
    with open_video(long, rate=FACE.rate) as video:
        for number, frame in enumerate(video):  # far behind the sound at first
            if number < 20:
                stream.feed(waveform[number * 9_000 : (number + 1) * 9_000])
            stream.see(frame)
    stream.feed(waveform[20 * 9_000 :])
    answer, whole = stream.finish(), model.predict(long)
    assert_scores(answer.scores, whole.scores)
    assert [(part.start, part.emotion) for part in answer.segments] == [
        (part.start, part.emotion) for part in whole.segments
    ]


def test_memory_does_not_grow_with_the_film(models):
    frames = _frames(4)

    def peak(seconds):
        stream = models["face_cnn_lstm"].stream(RATE, only="face")
        tracemalloc.start()
        for number in range(round(seconds * FACE.rate)):
            stream.see(frames[number % len(frames)].at(number / FACE.rate))
        stream.finish()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    short, more = peak(12), peak(36)
    assert more < short + 0.2e6  # 24 s more are 0.4 MB of crops


def _frames(seconds):
    with open_video(make_film(person(seconds)), rate=FACE.rate) as video:
        return list(video)


# --- several at once, and the command ----------------------------------------------------------


def test_many_are_answered_as_one_is(model, both, long):
    sources = [both, b"no recording", long, (voice(1), RATE), both]
    wanted = model.predict(both)
    for workers in (1, 2):
        found = list(model.predict_many(sources, workers=workers))
        assert isinstance(found[1], MediaError)
        assert found[0].scores == pytest.approx(wanted.scores, abs=1e-6)
        assert found[4].scores == found[0].scores
        assert found[3].used == ["voice"]


def test_the_command_prints_both_streams(place, both, long, tmp_path, capsys):
    (tmp_path / "clip.mp4").write_bytes(both)
    (tmp_path / "long.mp4").write_bytes(long)
    command = ["predict", str(tmp_path / "clip.mp4"), "--model", str(place / "av_attention")]
    assert run(command) == 0
    out = capsys.readouterr().out
    assert "used: voice and face" in out and "face by itself: " in out
    assert run([*command, "--face-only", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["predictions"]
    assert found["used"] == ["face"] and list(found["streams"]) == ["face"]
    table = ["--csv", "--abstain", "0", "--no-smooth"]
    assert run([*command, str(tmp_path / "long.mp4"), *table]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert list(rows[0])[4:] == [
        *LABELS, *(f"{stream}_{label}" for stream in ("voice", "face") for label in LABELS),
    ]  # fmt: skip
    assert all(rows[0].values())
    assert any(not row["face_sad"] for row in rows) and any(not row["voice_sad"] for row in rows)
    assert run([*command, "--face-only", "--voice-only"]) == 2
    assert "--voice-only and --face-only; expected one of them" in capsys.readouterr().err


# --- fused models ------------------------------------------------------------------------------

WEIGHTS = {(0,): [0.7], (1,): [1.3], (0, 1): [0.6, 0.9]}


def write_fused(folder, members, weights=WEIGHTS):
    """Write a fused model of two; return their torch networks."""
    networks = [
        write_film_model(folder / str(number), name, seed=number, temperature=2.0)
        for number, name in enumerate(members, 1)
    ]
    (folder / "MODEL_CARD.md").write_text("# fused\n")
    facts, _ = read_model(folder / "1")
    names = [f"{number}/model.json" for number in (1, 2)] + ["MODEL_CARD.md"]
    streams = {stream for network in networks for stream in network.streams}
    facts = msgspec.structs.replace(
        facts,
        name="fused",
        streams=tuple(stream for stream in ("voice", "face") if stream in streams),
        members=("1", "2"),
        weights=tuple(MemberWeights(*pair) for pair in weights.items()),
    )
    write_facts(folder, facts, tuple(names))
    return networks


def pooled(parts, weights):
    """The product of scores, each to the power of its weight, made to sum to 1: by formula."""
    product = np.prod(
        [np.array(list(part.values())) ** w for part, w in zip(parts, weights, strict=True)], 0
    )
    return dict(zip(LABELS, product / product.sum(), strict=True))


@pytest.fixture(scope="module")
def fused(place):
    networks = write_fused(place / "fused", ("crnn", "face_cnn_lstm"))
    return load_model(place / "fused", speech="energy"), networks


def test_a_fused_model_pools_those_who_can_answer(fused, both):
    model, (voice_network, face_network) = fused
    heard = expected(voice_network, hear(both), None)
    seen = expected(face_network, None, see(both))
    answer = model.predict(both)
    assert answer.used == ["voice", "face"] and answer.model == "fused"
    assert_scores(answer.scores, pooled([heard, seen], [0.6, 0.9]))
    assert_scores(answer.streams["voice"], pooled([heard], [0.7]))
    assert_scores(answer.streams["face"], pooled([seen], [1.3]))
    for only in ("voice", "face"):
        assert_scores(model.predict(both, only=only).scores, answer.streams[only])
    assert len(answer.model_id) == 16


def test_a_fused_model_answers_recordings_windows_and_streams(fused, long, tmp_path):
    model, _ = fused
    write_audio(tmp_path / "x.wav", voice(SECONDS))
    whole = model.predict(tmp_path / "x.wav")
    assert whole.why == "voice alone: no pictures in it"
    stream = model.stream(RATE)
    stream.feed(read_audio(tmp_path / "x.wav").waveform)
    assert_scores(stream.finish().scores, whole.scores)
    assert model.predict(long).why == "voice in 6 and face in 4 of 7 windows"
    (many,) = model.predict_many([tmp_path / "x.wav"])
    assert many.scores == whole.scores
    profile = model.learn_speaker([tmp_path / "x.wav"])
    assert model.predict(tmp_path / "x.wav", speaker=profile).scores != whole.scores


def test_a_fused_model_that_does_not_hold_together_is_refused(place, both, tmp_path):
    write_fused(tmp_path / "lacks", ("crnn", "face_cnn_lstm"), {(0, 1): [1.0, 1.0]})
    with pytest.raises(ModelError, match="fused: no weights for 2 alone; expected some"):
        load_model(tmp_path / "lacks").predict(both, only="face")
    write_fused(tmp_path / "changed", ("crnn", "face_cnn_lstm"))
    path = tmp_path / "changed" / "2" / "model.json"
    path.write_bytes(path.read_bytes().replace(b"four", b"five"))
    with pytest.raises(ModelError, match=r"2/model\.json: SHA-256 .*; expected"):
        load_model(tmp_path / "changed")
    write_fused(tmp_path / "nested", ("crnn", "face_cnn_lstm"))
    facts = msgspec.json.decode((tmp_path / "nested" / "model.json").read_bytes(), type=ModelFacts)
    assert facts.members == ("1", "2")


def test_networks_of_two_frame_rates_do_not_go_together(tmp_path, both):
    write_fused(tmp_path / "two", ("crnn", "face_cnn_lstm"))
    other = create_extractor("face_crops", size=32, rate=10.0)
    folder = tmp_path / "two" / "1"
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    write_film_model(folder, "face_cnn_lstm", face=other)
    path = tmp_path / "two" / "model.json"
    facts = msgspec.json.decode(path.read_bytes(), type=ModelFacts)
    hashes = hash_folder(tmp_path / "two", ("1/model.json", "2/model.json", "MODEL_CARD.md"))
    path.write_bytes(
        msgspec.json.encode(msgspec.structs.replace(facts, streams=("face",), sha256=hashes))
    )
    with pytest.raises(ModelError, match="faces at 10, 15 frames a second; expected one rate"):
        load_model(tmp_path / "two").predict(both)
