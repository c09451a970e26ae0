"""openSMILE's feature sets; most of it runs where the extra is installed."""

import sys

import numpy as np
import pytest

from affectus.cli import run
from affectus.errors import ConfigError, MediaError
from affectus.features import create_extractor, describe_extractor, restore_extractor
from affectus.features import opensmile as module

NAMES = ("egemaps", "egemaps-frames", "compare", "compare-frames")


def voice(seconds=1.0):
    time = np.arange(round(seconds * 16_000)) / 16_000
    return (0.2 * sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 12))).astype("f4")


def test_without_the_library_the_extra_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(ModuleNotFoundError):
        create_extractor("egemaps")
    (tmp_path / "a.wav").write_bytes(b"x")
    (tmp_path / "t.csv").write_text("file,emotion,speaker\na.wav,happy,1\n")
    manifest = str(tmp_path / "m.csv")
    assert run(["import", "table", str(tmp_path / "t.csv"), "-o", manifest]) == 0
    arguments = ["extract", manifest, "--store", str(tmp_path / "s"), "--features", "egemaps"]
    assert run(arguments) == 2
    assert "pip install 'affectus[opensmile]'" in capsys.readouterr().err


@pytest.fixture
def opensmile():
    return pytest.importorskip("opensmile", reason="needs the extra opensmile")


@pytest.mark.parametrize(("name", "n"), list(zip(NAMES, (88, 25, 6373, 65), strict=True)))
def test_columns_are_those_that_were_published_and_none_is_a_time(opensmile, name, n):
    # Eyben et al. (2016): 88 parameters. Schuller et al. (2016): 6,373 features of 65 descriptors.
    columns = create_extractor(name).columns
    assert len(columns) == len(set(columns)) == n
    assert not [c for c in columns if c.lower() in ("frametime", "start", "end", "name")]


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_those_of_the_library(opensmile, name):
    extractor = create_extractor(name)
    frames = extractor(voice(), 16_000)
    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet[extractor.feature_set],
        feature_level=opensmile.FeatureLevel[extractor.level],
    )
    table = smile.process_signal(voice(), 16_000)
    assert frames.dtype == np.float32
    np.testing.assert_array_equal(frames, table.to_numpy(np.float32))
    assert frames.shape == (len(table), len(extractor.columns))
    if extractor.frame_rate:
        assert abs(len(frames) - extractor.frame_rate) < 8  # 1 s; its windows end before the sound


def test_a_sound_too_short_for_it_is_refused(opensmile):
    with pytest.raises(MediaError, match=r"E1201 .*0\.020 s; openSMILE expected more"):
        create_extractor("egemaps")(voice(0.02), 16_000)


def test_another_rate_is_refused(opensmile):
    with pytest.raises(ConfigError, match="waveform at 8000 Hz; expected 16000 Hz"):
        create_extractor("egemaps")(voice(), 8_000)


def test_the_version_of_the_library_is_part_of_the_record(opensmile):
    record = describe_extractor(create_extractor("egemaps"))
    assert record["library"] == opensmile.__version__
    assert restore_extractor(record) == create_extractor("egemaps")
    with pytest.raises(ConfigError, match=r"made with opensmile 1\.0; expected"):
        restore_extractor({**record, "library": "1.0"})


def test_the_licence_is_told_once(opensmile, capsys):
    module._smile.cache_clear()
    module._say_licence.cache_clear()
    for name in NAMES:
        create_extractor(name)(voice(), 16_000)
    assert capsys.readouterr().err.count("free for research") == 1
