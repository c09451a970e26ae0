"""The audit: each planted fault is found, and a sound corpus has none."""

import re
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from affectus import audit, media
from affectus.audit import AuditReport, Finding, audit_manifest, check_completeness
from affectus.corpora import expected_clips
from affectus.corpora.ravdess import read_clip
from affectus.manifest import Clip, Manifest, with_hashes
from affectus.media import Limits, read_audio, write_audio

EMOTIONS = ("happy", "sad", "angry")


def sound(seed, seconds=0.15):
    noise = np.random.default_rng(seed).normal(0, 0.1, int(16_000 * seconds))
    return noise.astype(np.float32)


@pytest.fixture
def manifest(tmp_path):
    """Twelve sound clips: four speakers, three emotions."""
    clips = []
    for number in range(12):
        path = tmp_path / f"{number:02d}.wav"
        write_audio(path, sound(number))
        emotion, speaker = EMOTIONS[number % 3], f"own:{number // 3}"
        clips.append(Clip(f"own/{number:02d}", "own", str(path), speaker, emotion))
    return with_hashes(Manifest(tuple(clips)))


def changed(manifest, number, **values):
    clips = list(manifest.clips)
    clips[number] = replace(clips[number], **values)
    return Manifest(tuple(clips))


def with_clip(manifest, **values):
    return with_hashes(Manifest((*manifest.clips, Clip(corpus="own", **values))))


def the_finding(report, check):
    (found,) = [finding for finding in report.findings if finding.check == check]
    return found


# --- a sound corpus ---


def test_a_sound_corpus_has_no_findings(manifest):
    report = audit_manifest(manifest)
    assert report.findings == ()
    assert report.ok


def test_counts_are_those_of_the_corpus(manifest):
    (count,) = audit_manifest(manifest).counts
    assert (count.corpus, count.present, count.expected, count.n_speakers) == ("own", 12, None, 4)
    assert count.seconds == pytest.approx(12 * 0.15)
    assert count.emotions == {"angry": 4, "happy": 4, "sad": 4}


def test_each_corpus_is_counted_by_itself(manifest, tmp_path):
    other = Clip("other/1", "other", manifest.clips[0].file, "other:1")
    report = audit_manifest(with_hashes(Manifest((other, *manifest.clips))))
    assert [(c.corpus, c.present, c.n_speakers) for c in report.counts] == [
        ("other", 1, 1),
        ("own", 12, 4),
    ]
    assert report.counts[0].emotions == {"unlabelled": 1}


def test_progress_is_told_for_each_clip_that_is_heard(manifest):
    told = []
    faulty = changed(manifest, 0, fault="not understood")
    audit_manifest(faulty, on_progress=lambda *numbers: told.append(numbers))
    assert told == [(n, 11) for n in range(1, 12)]


def test_a_report_survives_json(manifest):
    report = audit_manifest(changed(manifest, 0, fault="not understood"))
    assert msgspec.json.decode(msgspec.json.encode(report), type=AuditReport) == report


def test_only_an_error_makes_a_report_not_ok():
    def report(*severities):
        findings = [Finding("check", severity, (), "text", "remedy") for severity in severities]
        return AuditReport((), tuple(findings))

    assert report().ok
    assert report("warning", "note").ok
    assert not report("note", "error").ok


def test_errors_come_first(manifest):
    clips = [replace(clip, emotion="happy") for clip in manifest.clips]  # of one class: an error
    clips[0] = replace(clips[0], speaker="")  # a warning
    severities = [f.severity for f in audit_manifest(Manifest(tuple(clips))).findings]
    assert severities == ["error", "warning"]


# --- names, labels, speakers ---


def test_names_that_were_not_understood_are_an_error_and_are_not_listened_to(manifest):
    faulty = changed(manifest, 3, fault="name '03.wav': 1 fields; expected seven", file="x")
    report = audit_manifest(faulty)
    assert report.findings == (
        Finding(
            "names",
            "error",
            ("own/03",),
            "1 files were not understood: name '03.wav': 1 fields; expected seven",
            "Rename or remove them, and import again; they are never trained on.",
        ),
    )
    assert report.counts[0].present == 11


def test_many_bad_names_are_counted_and_the_first_eight_shown(manifest):
    clips = tuple(replace(clip, fault=f"bad {clip.clip_id}") for clip in manifest)
    found = the_finding(audit_manifest(Manifest(clips)), "names")
    assert len(found.clip_ids) == 12
    assert "bad own/07; and 4 more" in found.message
    assert "own/08" not in found.message


def test_clips_without_an_emotion_are_a_warning(manifest):
    report = audit_manifest(changed(manifest, 3, emotion=None))
    found = the_finding(report, "labels")
    assert (found.severity, found.clip_ids) == ("warning", ("own/03",))
    assert found.message == "1 clips have no emotion: own/03"
    assert report.ok


def test_clips_without_a_speaker_are_a_warning(manifest):
    found = the_finding(audit_manifest(changed(manifest, 3, speaker="")), "speakers")
    assert (found.severity, found.clip_ids) == ("warning", ("own/03",))


# --- balance ---


def in_proportion(manifest, *numbers):
    emotions = [e for e, n in zip(EMOTIONS, numbers, strict=True) for _ in range(n)]
    pairs = zip(manifest.clips, emotions, strict=True)
    return Manifest(tuple(replace(clip, emotion=emotion) for clip, emotion in pairs))


@pytest.mark.parametrize(
    ("numbers", "severity"),
    [((4, 4, 4), None), ((5, 4, 3), "note"), ((6, 4, 2), "note"), ((8, 3, 1), "warning")],
)
def test_imbalance_is_a_note_and_beyond_three_to_one_a_warning(manifest, numbers, severity):
    findings = audit_manifest(in_proportion(manifest, *numbers)).findings
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
    if severity:
        assert findings[0].message == (f"own: {numbers[0]} clips are happy, {numbers[2]} are angry")


def test_a_corpus_of_one_class_is_an_error(manifest):
    report = audit_manifest(in_proportion(manifest, 0, 12, 0))
    assert the_finding(report, "balance").message == "own: every clip is sad"
    assert not report.ok


def test_a_class_that_only_faulty_clips_have_does_not_count(manifest):
    one_class = in_proportion(manifest, 11, 0, 1)
    report = audit_manifest(changed(one_class, 11, fault="file cannot be read"))
    assert the_finding(report, "balance").message == "own: every clip is happy"


# --- what is heard ---


def test_recordings_that_cannot_be_read_are_an_error_for_each_code(manifest):
    manifest.clips[1].path.write_text("no sound at all")
    manifest.clips[2].path.write_text("no sound either")
    manifest.clips[4].path.unlink()
    write_audio(manifest.clips[7].path, sound(7, seconds=0.01))
    report = audit_manifest(manifest)
    found = {f.message.split("(")[1][:5]: f for f in report.findings if f.check == "readable"}
    assert {code: f.clip_ids for code, f in found.items()} == {
        "E1000": ("own/04",),
        "E1002": ("own/01", "own/02"),
        "E1201": ("own/07",),
    }
    assert {f.severity for f in found.values()} == {"error"}
    assert found["E1002"].message.startswith("2 recordings cannot be used (E1002 ")
    assert found["E1002"].message.endswith("): own/01, own/02")


def test_limits_hold_while_listening(manifest):
    report = audit_manifest(manifest, limits=Limits(max_seconds=0.12))
    assert len(the_finding(report, "readable").clip_ids) == 12


def planted(manifest, number, waveform):
    """Replace a clip's sound."""
    write_audio(manifest.clips[number].path, waveform)
    return with_hashes(manifest)


def test_silence_is_an_error(manifest):
    report = audit_manifest(planted(manifest, 5, np.zeros(4_000, np.float32)))
    found = the_finding(report, "silent")
    assert (found.severity, found.clip_ids) == ("error", ("own/05",))
    assert found.message == "1 recordings are silent (W1304): own/05"


def test_clipping_is_a_warning(manifest):
    report = audit_manifest(planted(manifest, 5, (20 * sound(5)).clip(-1, 1)))
    found = the_finding(report, "clipped")
    assert (found.severity, found.clip_ids) == ("warning", ("own/05",))
    assert report.ok


def test_a_recording_cut_off_is_an_error(manifest):
    path = manifest.clips[5].path
    write_audio(path, sound(5, seconds=0.5))
    path.write_bytes(path.read_bytes()[:8_000])
    found = the_finding(audit_manifest(with_hashes(manifest)), "truncated")
    assert (found.severity, found.clip_ids) == ("error", ("own/05",))


def test_a_low_sample_rate_is_a_warning(manifest):
    write_audio(manifest.clips[5].path, sound(5), 8_000)
    found = the_finding(audit_manifest(with_hashes(manifest)), "narrow band")
    assert (found.severity, found.clip_ids) == ("warning", ("own/05",))


def test_every_warning_of_the_decode_gate_has_its_finding():
    source = "".join(p.read_text("utf-8") for p in Path(media.__file__).parent.glob("*.py"))
    assert set(re.findall(r'MediaWarning\("(W\d{4})"', source)) == set(audit._WARNS)


def test_stretches_of_a_recording_are_heard_each_by_itself(tmp_path, manifest):
    path = tmp_path / "long.wav"
    write_audio(path, np.concatenate([np.zeros(4_000, np.float32), sound(50, 0.25)]))
    clips = (
        Clip("own/quiet", "own", str(path), "own:0", "sad", end=0.25),
        Clip("own/loud", "own", str(path), "own:0", "happy", start=0.25, end=0.5),
        Clip("own/beyond", "own", str(path), "own:0", "angry", start=0.6, end=0.9),
    )
    report = audit_manifest(with_hashes(Manifest((*manifest.clips, *clips))))
    assert the_finding(report, "silent").clip_ids == ("own/quiet",)
    assert the_finding(report, "readable").clip_ids == ("own/beyond",)
    assert report.counts[0].seconds == pytest.approx(12 * 0.15 + 0.5)


# --- identical audio ---


def copy_of(manifest, number, name="copy.wav"):
    source = manifest.clips[number].path
    path = source.with_name(name)
    if path.suffix == ".flac":
        write_audio(path, read_audio(source).waveform)
    else:
        shutil.copy(source, path)
    return path


def test_a_copy_with_the_same_label_is_a_warning(manifest):
    both = with_clip(
        manifest,
        clip_id="own/copy",
        file=str(copy_of(manifest, 0)),
        speaker="own:0",
        emotion="happy",
    )
    found = the_finding(audit_manifest(both), "identical")
    assert (found.severity, found.clip_ids) == ("warning", ("own/00", "own/copy"))
    assert found.message == ("identical audio (the files are byte-identical): own/00 = own/copy")


def test_a_copy_in_another_format_has_the_same_sound(manifest):
    both = with_clip(
        manifest,
        clip_id="own/copy",
        file=str(copy_of(manifest, 0, "copy.flac")),
        speaker="own:0",
        emotion="happy",
    )
    assert both.clips[0].sha256 != both.clips[-1].sha256
    found = the_finding(audit_manifest(both), "identical")
    assert found.message == "identical audio: own/00 = own/copy"


def test_a_copy_with_another_label_is_an_error(manifest):
    both = with_clip(
        manifest,
        clip_id="own/copy",
        file=str(copy_of(manifest, 0)),
        speaker="own:0",
        emotion="angry",
    )
    found = the_finding(audit_manifest(both), "identical")
    assert found.severity == "error"
    assert found.message.startswith("identical audio labelled angry and happy (")


def test_a_copy_with_another_speaker_is_an_error(manifest):
    both = with_clip(
        manifest,
        clip_id="own/copy",
        file=str(copy_of(manifest, 0)),
        speaker="own:3",
        emotion="happy",
    )
    found = the_finding(audit_manifest(both), "identical")
    assert found.severity == "error"
    assert found.message.startswith("identical audio of own:0 and own:3 (")


def test_a_copy_without_label_and_speaker_contradicts_nothing(manifest):
    both = with_clip(manifest, clip_id="own/copy", file=str(copy_of(manifest, 0)))
    assert the_finding(audit_manifest(both), "identical").severity == "warning"


def test_clips_that_were_never_hashed_are_not_called_byte_identical(manifest):
    path = copy_of(manifest, 0, "copy.flac")
    clips = [replace(manifest.clips[0], sha256=""), Clip("own/copy", "own", str(path))]
    found = the_finding(audit_manifest(Manifest(tuple(clips))), "identical")
    assert found.message == "identical audio: own/00 = own/copy"


# --- published corpora ---

# Livingstone and Russo (2018): speech, sound only: 24 actors x 60 = 1,440 clips; song: 23 x 44.


def speech_of(actors):
    names = [
        f"03-01-{emotion:02d}-{intensity:02d}-{statement:02d}-{repetition:02d}-{actor:02d}.wav"
        for actor in actors
        for emotion in range(1, 9)
        for intensity in ((1,) if emotion == 1 else (1, 2))
        for statement in (1, 2)
        for repetition in (1, 2)
    ]
    return [read_clip(Path(name)) for name in names]


def completeness(clips):
    manifest = Manifest(tuple(clips))
    return check_completeness(manifest, expected_clips(manifest))


def test_all_of_ravdess_speech_is_complete():
    clips = speech_of(range(1, 25))
    assert len(clips) == 1_440
    assert completeness(clips) == []


def test_missing_clips_are_named_and_counted():
    clips = [c for c in speech_of(range(1, 25)) if not c.clip_id.endswith("-02-01-12")]
    (found,) = completeness(clips)
    assert (found.check, found.severity) == ("complete", "error")
    assert len(found.clip_ids) == 15
    assert found.message.startswith(
        "ravdess: 1,425 of 1,440 clips; of other speakers 15 are missing: "
        "ravdess/03-01-01-01-02-01-12, "
    )
    assert found.message.endswith(" and 7 more")


def test_speakers_who_are_missing_altogether_are_named():
    (found,) = completeness(speech_of(a for a in range(1, 25) if a not in (3, 20)))
    assert found.message == (
        "ravdess: 1,320 of 1,440 clips; speakers ravdess:03, ravdess:20 are missing altogether"
    )
    assert len(found.clip_ids) == 120


def test_missing_speakers_and_missing_clips_are_told_apart():
    clips = speech_of(range(1, 24))[1:]
    (found,) = completeness(clips)
    assert found.message == (
        "ravdess: 1,379 of 1,440 clips; speakers ravdess:24 are missing altogether; "
        "of other speakers 1 are missing: ravdess/03-01-01-01-01-01-01"
    )


def test_song_is_expected_only_where_there_is_any_and_not_of_actor_18():
    sung = read_clip(Path("03-02-04-02-01-02-17.wav"))
    (found,) = completeness([*speech_of(range(1, 25)), sung])
    assert found.message.startswith("ravdess: 1,441 of 2,452 clips")
    assert not any(name.endswith("-18") for name in found.clip_ids)


def test_a_clip_with_a_fault_counts_as_missing():
    clips = speech_of(range(1, 25))
    clips[0] = replace(clips[0], fault="second file with other bytes")
    (found,) = completeness(clips)
    assert found.clip_ids == (clips[0].clip_id,)


def test_clips_that_were_not_published_are_an_error():
    clips = speech_of(range(1, 25))
    extra = replace(clips[0], clip_id="ravdess/03-01-05-01-01-03-12")
    (found,) = completeness([*clips, extra])
    assert found.message == (
        "ravdess: 1 clips that it was not published with: ravdess/03-01-05-01-01-03-12"
    )
    assert found.severity == "error"


def test_a_user_s_own_corpus_is_expected_to_hold_nothing(manifest):
    assert expected_clips(manifest) == ()
    assert check_completeness(manifest, ()) == []


def test_a_whole_audit_counts_what_a_published_corpus_should_hold(tmp_path):
    name = "03-01-05-01-01-01-12.wav"
    write_audio(tmp_path / name, sound(0))
    manifest = with_hashes(Manifest((read_clip(tmp_path / name),)))
    report = audit_manifest(manifest, expected_clips(manifest))
    (count,) = report.counts
    assert (count.present, count.expected) == (1, 1_440)
    assert len(the_finding(report, "complete").clip_ids) == 1_439
    assert not report.ok
