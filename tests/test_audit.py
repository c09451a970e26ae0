"""The audit: each planted fault is found, and a sound corpus has none."""

import re
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from making import LFS_POINTER, encode, tone
from msgspec.structs import replace

from affectus import media
from affectus.audit import (
    AuditReport,
    CorpusCount,
    Finding,
    GroupCount,
    audit_manifest,
    check_completeness,
)
from affectus.audit.listening import Refused, _hear_chunk, _Task
from affectus.audit.sound import WARNS
from affectus.corpora import expected_clips, load_corpus
from affectus.corpora.ravdess import read_clip
from affectus.manifest import Clip, Manifest, with_hashes
from affectus.media import Limits, read_audio, write_audio
from affectus.media.measures import find_cutoff, measure_level
from affectus.synthesis import synthesize_voice, write_corpus
from affectus.workers import LostItemError

EMOTIONS = ("happy", "sad", "angry")


def sound(seed, seconds=0.4):
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
    assert count.seconds == pytest.approx(12 * 0.4)
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
    files = [path for path in Path(media.__file__).parent.glob("*.py") if path.stem != "video"]
    source = "".join(path.read_text("utf-8") for path in files)  # the audit hears, it does not see
    assert set(re.findall(r'MediaWarning\("(W\d{4})"', source)) == set(WARNS)


def test_stretches_of_a_recording_are_heard_each_by_itself(tmp_path, manifest):
    path = tmp_path / "long.wav"
    write_audio(path, np.concatenate([np.zeros(5_600, np.float32), sound(50, 0.4)]))
    clips = (
        Clip("own/quiet", "own", str(path), "own:0", "sad", end=0.35),
        Clip("own/loud", "own", str(path), "own:0", "happy", start=0.35, end=0.75),
        Clip("own/beyond", "own", str(path), "own:0", "angry", start=0.8, end=0.9),
    )
    report = audit_manifest(with_hashes(Manifest((*manifest.clips, *clips))))
    assert the_finding(report, "silent").clip_ids == ("own/quiet",)
    assert the_finding(report, "readable").clip_ids == ("own/beyond",)
    assert report.counts[0].seconds == pytest.approx(12 * 0.4 + 0.75)


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
        "ravdess: 1,425 of 1,440 clips; 15 are missing: ravdess/03-01-01-01-02-01-12, "
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
        "of other speakers 1 is missing: ravdess/03-01-01-01-01-01-01"
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


def test_only_the_number_may_be_known(manifest):
    # nEMO (Christop 2024) has 4,481 clips, whose numbering has gaps: no list of names is complete.
    nemo = Manifest(tuple(replace(c, corpus="nemo") for c in manifest))
    (found,) = check_completeness(nemo, (), {"nemo": 4_481})
    assert (found.severity, found.clip_ids) == ("error", ())
    assert found.message == "nemo: 12 of 4,481 clips; which are missing is not known"
    assert check_completeness(nemo, (), {"nemo": 12}) == []
    (found,) = check_completeness(nemo, (), {"nemo": 11})
    assert found.message == "nemo: 12 of 11 clips; that is more than were published"
    assert check_completeness(manifest, (), {"nemo": 4_481}) == []  # none of it is here
    (count,) = audit_manifest(nemo, n_expected={"nemo": 4_481}).counts
    assert (count.expected, count.missing, count.extra) == (4_481, 4_469, 0)


def test_speakers_and_emotions_are_counted_beside_what_was_published(tmp_path):
    clips = [c for c in speech_of((1, 2)) if not c.clip_id.endswith("03-01-05-01-01-01-02")]
    odd = replace(clips[0], clip_id="ravdess/odd", emotion="happy")
    silent = [replace(clip, channels=("face",)) for clip in (*clips, odd)]  # nothing to hear
    manifest = Manifest(tuple(silent))
    report = audit_manifest(manifest, expected_clips(manifest))
    # 60 clips an actor; of 24 actors 96 neutral clips, and 192 of each other emotion.
    assert report.counts[0] == CorpusCount(
        "ravdess", 120, 1_440, 2, 0.0,
        {"angry": 15, "calm": 16, "disgust": 16, "fearful": 16, "happy": 17, "neutral": 8,
         "sad": 16, "surprised": 16},
        1_321, 1,
    )  # fmt: skip
    groups = {group.name: group for group in report.groups}
    assert groups["ravdess:01"] == GroupCount("ravdess", "speaker", "ravdess:01", 61, 60, 0, 1, 0.0)
    assert (groups["ravdess:02"].present, groups["ravdess:02"].missing) == (59, 1)
    assert (groups["ravdess:24"].present, groups["ravdess:24"].missing) == (0, 60)
    assert (groups["angry"].present, groups["angry"].expected) == (15, 192)
    assert (groups["angry"].missing, groups["happy"].extra) == (177, 1)


def test_labels_other_than_the_published_are_a_warning_unless_raters_gave_them():
    clips = speech_of(range(1, 25))
    clips[7] = replace(clips[7], emotion="happy")
    clips[9] = replace(clips[9], emotion="happy", votes={"happy": 6})
    manifest = Manifest(tuple(replace(clip, channels=("face",)) for clip in clips))
    found = the_finding(audit_manifest(manifest, expected_clips(manifest)), "labels")
    assert (found.severity, found.clip_ids) == ("warning", (clips[7].clip_id,))
    assert "(happy, published calm)" in found.message


# --- files that are not what they were ---


def test_git_lfs_pointers_are_told_from_other_text(manifest):
    manifest.clips[2].path.write_bytes(LFS_POINTER)
    manifest.clips[3].path.write_bytes(LFS_POINTER)
    report = audit_manifest(with_hashes(manifest))
    found = the_finding(report, "pointer")
    assert (found.severity, found.clip_ids) == ("error", ("own/02", "own/03"))
    assert found.message.startswith("2 files are Git LFS pointers, not recordings (E1006): own/02")
    assert "git lfs pull" in found.remedy
    assert set(report.exclusions()) == {"own/02", "own/03"}


def test_a_file_that_changed_since_the_import_is_an_error(manifest):
    write_audio(manifest.clips[5].path, sound(99))
    found = the_finding(audit_manifest(manifest), "changed")
    assert (found.severity, found.clip_ids) == ("error", ("own/05",))


# --- lengths ---


def more_clips(manifest, n):
    """The manifest with n clips more, all sound."""
    folder = manifest.clips[0].path.parent
    clips = []
    for number in range(12, 12 + n):
        write_audio(folder / f"{number}.wav", sound(number))
        emotion, speaker = EMOTIONS[number % 3], f"own:{number % 4}"
        clips.append(Clip(f"own/{number}", "own", str(folder / f"{number}.wav"), speaker, emotion))
    return with_hashes(Manifest((*manifest.clips, *clips)))


@pytest.mark.parametrize(("seconds", "check"), [(0.2, "short"), (61.0, "long")])
def test_what_is_very_short_or_very_long_is_a_warning(manifest, seconds, check):
    report = audit_manifest(planted(manifest, 5, sound(5, seconds)))
    found = the_finding(report, check)
    assert (found.severity, found.clip_ids) == ("warning", ("own/05",))
    assert f"own/05 ({seconds:.2f} s)" in found.message
    assert set(report.exclusions()) == {"own/05"}


@pytest.mark.parametrize(("seconds", "odd"), [(0.7, False), (0.9, True), (8.0, True)])
def test_what_is_far_from_the_lengths_of_its_corpus_is_a_warning(manifest, seconds, odd):
    many = more_clips(manifest, 12)
    report = audit_manifest(planted(many, 5, sound(5, seconds)))
    found = [f.clip_ids for f in report.findings if f.check == "length"]
    assert found == ([("own/05",)] if odd else [])  # the others last 0.4 s, all of them


def test_of_a_few_clips_none_is_unusual(manifest):
    assert audit_manifest(planted(manifest, 5, sound(5, 8.0))).findings == ()


# --- files stored otherwise than the others ---


@pytest.mark.parametrize(
    ("check", "channels", "options"),
    [
        ("sample rate", 1, {"rate": 22_050}),
        ("channels", 2, {}),
        ("codec", 1, {"container": "OGG", "subtype": "VORBIS"}),
        ("codec", 1, {"subtype": "PCM_24"}),
    ],
)
def test_a_file_stored_otherwise_than_its_corpus_is_a_warning(manifest, check, channels, options):
    seconds = 0.4 * options.get("rate", 16_000) / 16_000
    waveform = np.stack([sound(5, seconds)] * channels, 1)
    manifest.clips[5].path.write_bytes(encode(waveform, **options))
    findings = audit_manifest(with_hashes(manifest)).findings
    (found,) = [found for found in findings if found.check != "named as another container"]
    assert (found.check, found.severity, found.clip_ids) == (check, "warning", ("own/05",))
    assert found.message.startswith("own: 11 recordings have ")


def test_another_corpus_may_be_stored_otherwise(manifest):
    clips = [
        replace(clip, corpus="two" if int(clip.speaker[-1]) > 1 else "one") for clip in manifest
    ]
    for clip in clips[6:]:
        clip.path.write_bytes(encode(sound(int(clip.clip_id[-2:]), 0.8), rate=32_000))
    report = audit_manifest(with_hashes(Manifest(tuple(clips))))
    assert [f for f in report.findings if f.check != "speakers"] == []


def low_passed(waveform, hertz):
    """A waveform with nothing above a frequency, by setting its spectrum there to 0."""
    spectrum = np.fft.rfft(waveform)
    spectrum[np.fft.rfftfreq(len(waveform), 1 / 16_000) > hertz] = 0
    return np.fft.irfft(spectrum, len(waveform)).astype(np.float32)


def test_a_band_that_was_cut_off_is_seen_in_the_sound(manifest):
    report = audit_manifest(planted(manifest, 5, low_passed(sound(5), 3_400)))
    found = the_finding(report, "narrow band")
    assert (found.severity, found.clip_ids) == ("warning", ("own/05",))
    assert "own: 1 recording of 12 with nothing above a sharp edge" in found.message


def test_a_corpus_that_is_narrow_altogether_is_only_a_note(manifest):
    for clip in manifest:
        write_audio(clip.path, low_passed(sound(int(clip.clip_id[-2:])), 3_400))
    found = the_finding(audit_manifest(with_hashes(manifest)), "narrow band")
    assert (found.severity, len(found.clip_ids)) == ("note", 12)


@pytest.mark.parametrize("hertz", [2_500, 3_400, 4_000, 5_512])
def test_the_edge_of_a_band_is_found_where_it_is(hertz):
    voice = synthesize_voice("happy", speaker=1)
    found = find_cutoff(low_passed(voice, hertz), 16_000)
    assert found == pytest.approx(hertz, abs=150)


@pytest.mark.parametrize("emotion", ["sad", "angry", "calm"])
def test_a_soft_voice_has_no_edge(emotion):
    assert find_cutoff(synthesize_voice(emotion, speaker=2), 16_000) is None
    dark = np.cumsum(sound(1, 2.0)).astype(np.float32)  # falls by 6 dB an octave
    assert find_cutoff(dark / np.abs(dark).max(), 16_000) is None


def test_silence_and_a_click_have_no_edge():
    assert find_cutoff(np.zeros(16_000, np.float32), 16_000) is None
    assert find_cutoff(np.ones(100, np.float32), 16_000) is None
    assert find_cutoff(sound(1, 2.0), 4_000) is None  # no room for one


def test_the_level_is_that_of_what_sounds():
    sine = tone(1.0, level=1.0)
    assert measure_level(sine, 16_000) == pytest.approx(-3.01, abs=0.01)  # 10 lg 1/2
    assert measure_level(0.1 * sine, 16_000) == pytest.approx(-23.01, abs=0.01)
    paused = np.concatenate([sine, np.zeros(48_000, np.float32)])
    assert measure_level(paused, 16_000) == pytest.approx(-3.01, abs=0.01)
    assert measure_level(np.zeros(16_000, np.float32), 16_000) == -120.0
    assert measure_level(sine[:100], 16_000) == pytest.approx(
        10 * np.log10(np.mean(sine[:100] ** 2)), abs=0.01
    )


# --- nearly identical audio ---

VOICE = synthesize_voice("angry", speaker=3)


def resampled(waveform):
    """At 22,050 Hz, by linear interpolation: a bad resampler's work."""
    places = np.arange(int(len(waveform) * 22_050 / 16_000)) * 16_000 / 22_050
    return np.interp(places, np.arange(len(waveform)), waveform).astype(np.float32)


COPIES = {
    "resampled": lambda: encode(resampled(VOICE), rate=22_050),
    "encoded again": lambda: encode(VOICE, "OGG", "VORBIS"),
    "softer": lambda: encode(0.3 * VOICE),
    "23 ms later": lambda: encode(np.concatenate([np.zeros(368, np.float32), VOICE])),
}


def with_copy(manifest, how, **values):
    """The manifest with a voice in clip 0, and a copy of it."""
    manifest.clips[0].path.write_bytes(encode(VOICE))
    path = manifest.clips[0].path.with_name("copy.bin")
    path.write_bytes(COPIES[how]())
    return with_clip(manifest, clip_id="own/copy", file=str(path), **values)


@pytest.mark.parametrize("how", COPIES)
def test_a_changed_copy_is_found(manifest, how):
    both = with_copy(manifest, how, speaker="own:0", emotion="happy")
    report = audit_manifest(both)
    found = the_finding(report, "near identical")
    assert (found.severity, found.clip_ids) == ("warning", ("own/00", "own/copy"))
    assert found.message == "nearly identical audio: own/00 = own/copy"
    assert report.exclusions() == {"own/copy": "near identical to own/00"}


def test_a_changed_copy_with_another_label_is_an_error(manifest):
    report = audit_manifest(with_copy(manifest, "softer", speaker="own:0", emotion="angry"))
    found = the_finding(report, "near identical")
    assert found.severity == "error"
    assert found.message.startswith("nearly identical audio labelled angry and happy: ")
    assert set(report.exclusions()) == {"own/00", "own/copy"}


def test_changed_copies_of_one_take_are_meant(manifest):
    both = with_copy(manifest, "softer", speaker="own:0", emotion="happy", take="one")
    both = changed(both, 0, take="one")
    assert [f.check for f in audit_manifest(both).findings] == []


def test_copies_of_a_copy_are_one_group_and_identical_ones_are_named_once(manifest):
    both = with_copy(manifest, "softer", speaker="own:0", emotion="happy")
    for place, how in ((1, "encoded again"), (2, "23 ms later")):
        both.clips[place].path.write_bytes(COPIES[how]())
    clips = [replace(clip, emotion="happy", speaker="own:0") for clip in both.clips[:3]]
    clips = (*clips, *both.clips[3:])
    found = the_finding(audit_manifest(with_hashes(Manifest(clips))), "near identical")
    assert set(found.clip_ids) == {"own/00", "own/01", "own/02", "own/copy"}
    assert found.message.count("=") == 3


def test_other_sentences_of_one_voice_are_no_copies(tmp_path):
    clips = []
    for sentence in range(4):
        for repetition in (1, 2):
            path = tmp_path / f"{sentence}{repetition}.wav"
            write_audio(
                path, synthesize_voice("sad", speaker=1, sentence=sentence, repetition=repetition)
            )
            clips.append(Clip(path.stem, "own", str(path), "own:0", "sad"))
    report = audit_manifest(with_hashes(Manifest(tuple(clips))))
    assert not [f for f in report.findings if "identical" in f.check]


# --- labels that contradict ---


def test_one_take_with_two_labels_is_an_error(manifest):
    clips = changed(changed(manifest, 0, take="t1"), 1, take="t1")  # happy, and sad
    report = audit_manifest(clips)
    found = the_finding(report, "contradiction")
    assert (found.severity, found.clip_ids) == ("error", ("own/00", "own/01"))
    assert "one performance labelled happy and sad: take t1: own/00 (happy), own/01 (sad)" in (
        found.message
    )
    assert set(report.exclusions()) == {"own/00", "own/01"}


def test_raters_who_heard_and_raters_who_saw_a_take_need_not_agree(manifest):
    votes = {"votes": {"happy": 4}}
    clips = changed(changed(manifest, 0, take="t1", **votes), 1, take="t1", **votes)
    report = audit_manifest(clips)
    assert the_finding(report, "contradiction").severity == "warning"
    assert report.exclusions() == {}


def test_one_take_with_one_label_is_fine(manifest):
    clips = changed(changed(manifest, 0, take="t1"), 3, take="t1")
    assert audit_manifest(clips).findings == ()


# --- balance of speakers and corpora ---


def test_fewer_than_three_speakers_are_a_warning(manifest):
    two = Manifest(tuple(replace(c, speaker=f"own:{int(c.speaker[-1]) % 2}") for c in manifest))
    found = the_finding(audit_manifest(two), "speakers")
    assert found.severity == "warning"
    assert found.message.startswith("own: 2 speakers (own:0, own:1): no score on it alone")


@pytest.mark.parametrize(
    ("numbers", "severity"), [((4, 4, 4), None), ((5, 5, 2), None), ((6, 5, 1), "note"),
                              ((8, 2, 2), "warning")],
)  # fmt: skip
def test_a_speaker_with_many_more_clips_is_told(manifest, numbers, severity):
    speakers = [f"own:{s}" for s, n in enumerate(numbers) for _ in range(n)]
    pairs = zip(manifest.clips, speakers, strict=True)
    report = audit_manifest(Manifest(tuple(replace(c, speaker=s) for c, s in pairs)))
    assert [f.severity for f in report.findings] == ([severity] if severity else [])
    if severity:
        assert f"own: {numbers[0]} clips of own:0" in report.findings[0].message


def test_a_corpus_with_many_more_clips_is_told(manifest):
    clips = [replace(c, corpus="big") for c in manifest.clips[:9]] + [
        replace(c, corpus="small", speaker=f"small:{n}") for n, c in enumerate(manifest.clips[9:])
    ]
    assert audit_manifest(Manifest(tuple(clips))).findings == ()  # three times as many
    findings = audit_manifest(Manifest(tuple(clips[:-1]))).findings
    told = [f.message for f in findings if f.check == "balance"]
    assert told == ["9 clips are of big, 2 of small: the smaller counts for little"]


# --- what should not be trained on ---


def test_reasons_to_leave_a_clip_out_are_joined(manifest):
    write_audio(manifest.clips[5].path, np.zeros(3_200, np.float32))  # 0.2 s of silence
    report = audit_manifest(with_hashes(manifest))
    assert report.exclusions() == {"own/05": "silent; short: 0.20 s"}


def test_most_findings_are_no_reason_to_leave_a_clip_out(manifest):
    write_audio(manifest.clips[5].path, sound(5), 8_000)  # narrow band, unusual rate
    clips = in_proportion(with_hashes(manifest), 8, 3, 1)
    report = audit_manifest(clips)
    assert {f.check for f in report.findings} == {"narrow band", "sample rate", "balance"}
    assert report.exclusions() == {}


def test_a_list_of_exclusions_is_told_and_is_no_fault_of_the_names(manifest):
    report = audit_manifest(manifest.excluding({"own/05": "too loud"}))
    found = the_finding(report, "excluded")
    assert (found.severity, found.clip_ids) == ("note", ("own/05",))
    assert report.counts[0].present == 11


# --- in worker processes ---


def test_worker_processes_find_the_same(manifest):
    manifest.clips[2].path.write_bytes(LFS_POINTER)
    manifest = with_hashes(manifest)
    told = []
    report = audit_manifest(manifest, workers=2, on_progress=lambda *numbers: told.append(numbers))
    assert report == audit_manifest(manifest)
    assert told[-1] == (12, 12)
    assert told == sorted(told)


def test_a_clip_that_cost_two_workers_is_given_up(manifest):
    def take(place):
        if place == 1:
            raise LostItemError(
                "E1603", "the decoder crashed: its worker was ended by SIGSEGV, 2 times"
            )

    _, found = _hear_chunk(_Task(0, list(manifest.clips[:3]), Limits()), take)
    assert found[1] == Refused(
        "E1603", "the decoder crashed: its worker was ended by SIGSEGV, 2 times"
    )
    assert not isinstance(found[0], Refused)
    assert not isinstance(found[2], Refused)


# --- a sound synthetic corpus ---


def test_a_sound_synthetic_corpus_has_nothing_but_notes(tmp_path):
    write_corpus("ravdess", tmp_path, n_speakers=3)
    report = audit_manifest(load_corpus("ravdess", tmp_path), workers=2)
    assert {f.severity for f in report.findings} == {"note"}
    assert report.exclusions() == {}
