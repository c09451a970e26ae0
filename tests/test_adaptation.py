import numpy as np
import pytest

from affectus.adaptation import adapt, learn, read_profile, write_profile
from affectus.errors import ConfigError

RNG = np.random.default_rng(0)
MEAN, DEVIATION = np.array([1.0, -2.0, 5.0]), np.array([1.0, 3.0, 0.5])
CLIPS = [
    RNG.normal([3, 0, 5], [2, 1, 0.5], (length, 3)).astype(np.float32) for length in (40, 7, 90, 1)
]


def test_a_profile_is_the_mean_and_deviation_of_all_rows():
    profile = learn(CLIPS, "hash")
    rows = np.concatenate(CLIPS).astype(np.float64)
    np.testing.assert_allclose(profile.mean, rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(profile.deviation, rows.std(0), rtol=1e-12)
    assert (profile.n_clips, profile.n_rows, profile.features) == (4, 138, "hash")


def test_clip_by_clip_gives_what_all_at_once_gives():
    profile = None
    for clip in CLIPS:
        profile = learn([clip], "hash", profile)
    np.testing.assert_allclose(profile.mean, learn(CLIPS).mean, rtol=1e-10)
    np.testing.assert_allclose(profile.deviation, learn(CLIPS).deviation, rtol=1e-10)
    assert (profile.n_clips, profile.n_rows, profile.features) == (4, 138, "hash")


def test_with_many_clips_the_speaker_becomes_the_average_one():
    # Full weight is plain standardisation by the speaker, then the training clips' own scale.
    profile = learn(CLIPS)
    found = adapt(np.concatenate(CLIPS), profile, MEAN, DEVIATION, mean_clips=0, variance_clips=0)
    np.testing.assert_allclose(found.mean(0), MEAN, atol=1e-5)
    np.testing.assert_allclose(found.std(0), DEVIATION, rtol=1e-5)


def test_a_speaker_like_the_training_clips_is_left_as_they_are():
    signs = np.array([[1.0], [-1.0]] * 8)
    alike = (MEAN + DEVIATION * signs).astype(np.float32)
    found = adapt(CLIPS[0], learn([alike, alike]), MEAN, DEVIATION)
    np.testing.assert_allclose(found, CLIPS[0], atol=1e-5)


def test_the_mean_is_shrunk_by_the_number_of_clips():
    # One clip of three: with mean_clips 2 a third of the way; its variance counts nothing.
    one = np.full((10, 3), 4.0, np.float32)
    found = adapt(one, learn([one]), MEAN, DEVIATION, mean_clips=2.0)
    np.testing.assert_allclose(found[0], 4.0 - (4.0 - MEAN) / 3, rtol=1e-6)


def test_a_column_that_never_varies_stays_finite():
    still = np.full((5, 3), 2.0, np.float32)
    found = adapt(still, learn([still] * 9), MEAN, np.zeros(3), variance_clips=0)
    assert np.isfinite(found).all()


def test_a_profile_is_written_and_read_again(tmp_path):
    profile = learn(CLIPS, "hash")
    write_profile(profile, tmp_path / "me.json")
    assert read_profile(tmp_path / "me.json") == profile
    assert (tmp_path / "me.json").stat().st_size < 1_000  # no clip is in it


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "truncated; expected a speaker's profile"),
        ('{"schema":1}', "missing required field"),
        (
            '{"schema":9,"features":"","n_clips":1,"n_rows":1,"mean":[1.0],"deviation":[1.0]}',
            "schema 9",
        ),
        (
            '{"schema":1,"features":"","n_clips":1,"n_rows":1,"mean":[1.0],"deviation":[]}',
            "columns are missing",
        ),
        (
            '{"schema":1,"features":"","n_clips":1,"n_rows":1,"mean":[1.0],"deviation":[-1.0]}',
            r"`float` >= 0",
        ),
    ],
)
def test_what_is_no_profile_is_refused(tmp_path, text, message):
    (tmp_path / "me.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_profile(tmp_path / "me.json")


def test_a_missing_profile_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError, match=r"No such file.*--save-speaker"):
        read_profile(tmp_path / "me.json")


def test_no_clip_makes_no_profile():
    with pytest.raises(ConfigError, match="no clip; expected at least one"):
        learn([])
