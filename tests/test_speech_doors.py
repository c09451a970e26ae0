"""A model folder with a speech encoder in it: the service and the microphone take it unchanged."""

import msgspec
import numpy as np
import pytest

pytest.importorskip("transformers", reason="needs the extra 'speech'")

from served import Served, voice
from small_encoders import write_encoder
from test_live import sound  # noqa: F401  # a fixture
from test_server import pcm, talk
from test_speech_export import probe, write_tones

from affectus import live
from affectus.corpora import load_corpus
from affectus.export import export_run
from affectus.media import write_audio
from affectus.predictor import Predictor

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small WavLM and a probe of it, exported."""
    place = tmp_path_factory.mktemp("doors")
    load_corpus("table", write_tones(place / "recordings", 1)).write(place / "manifest.csv")
    write_encoder(place / "wavlm-base", "wavlm")
    export_run(probe(place, place / "wavlm-base", "probe"), place / "model")
    return place / "model"


@pytest.fixture(scope="module")
def encoder_service(folder):
    served = Served(folder, options=["--workers", "1"])
    yield served
    served.stop()


def test_the_service_answers_as_the_predictor_does(encoder_service, folder, tmp_path):
    write_audio(tmp_path / "v.wav", voice(2.5))
    expected = Predictor(folder).predict(tmp_path / "v.wav")
    status, _, body = encoder_service.post((tmp_path / "v.wav").read_bytes())
    assert status == 200
    (found,) = msgspec.json.decode(body)["predictions"]
    assert found["scores"] == expected.scores


def test_a_stream_says_in_the_end_what_the_whole_file_would(encoder_service, folder):
    waveform = voice(3.3)
    samples = np.frombuffer(pcm(waveform), "<i2") * np.float32(1 / 32_768)
    expected = Predictor(folder).predict((samples, 16_000), window=2.0, hop=1.0)
    messages, code = talk(encoder_service, waveform, "window=2&hop=1")
    assert code == 1000
    starts = [m["segment"]["start"] for m in messages if m["type"] == "answer"]
    assert starts == [0, 1]
    np.testing.assert_allclose(
        list(messages[-1]["prediction"]["scores"].values()),
        list(expected.scores.values()),
        atol=1e-5,
    )


def test_the_microphone_is_answered(sound, folder):  # noqa: F811
    sound.InputStream.waveform = voice(3.3)
    model = Predictor(folder)
    heard = live.listen(model, live.find_device("2"), window=2.0, hop=1.0, seconds=3.3)
    found = list(heard)[-1].prediction
    expected = model.predict((voice(3.3), 16_000), window=2.0, hop=1.0)
    assert found.scores == pytest.approx(expected.scores, abs=1e-5)


def test_the_network_is_opened_from_its_file_and_not_held_twice(folder):
    """onnxruntime's session keeps the bytes that it is given: 360 MB, for 95 M weights."""
    assert Predictor(folder)._network._session._model_bytes is None
