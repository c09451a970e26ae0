"""The table of clips: what is written is what is read, and faults are named with their place."""

import csv
import hashlib
import io
import os
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from affectus.errors import ManifestError
from affectus.manifest import (
    COLUMNS,
    Clip,
    Manifest,
    hash_file,
    join_manifests,
    natural_key,
    read_exclusions,
    with_hashes,
    write_exclusions,
)

FULL = {
    "clip_id": "own/a.wav@1.5-3.25",
    "corpus": "own",
    "speaker": "own:07",
    "emotion": "fearful",
    "start": 1.5,
    "end": 3.25,
    "sex": "female",
    "language": "pl",
    "source_label": "fear",
    "intensity": "strong",
    "sentence": 'He said: "no, never",\nand left',
    "repetition": "2",
    "age": "51",
    "ethnicity": "Not Hispanic",
    "take": "own/a",
    "split": "train",
    "votes": {"fearful": 5, "sad": 1},
    "channels": ("voice", "face"),
    "sha256": "ab" * 32,
    "fault": "",
}


def clip(name="a", **changes):
    return Clip(**{"clip_id": f"own/{name}", "corpus": "own", "file": f"/x/{name}.wav"} | changes)


def written(manifest, folder, name="m.csv"):
    manifest.write(folder / name)
    return folder / name


def rows_of(path):
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))


# --- written and read --------------------------------------------------------------------------


def test_what_is_written_is_what_is_read(tmp_path):
    clips = (Clip(file=str(tmp_path / "a.wav"), **FULL), clip("b", file=str(tmp_path / "b.wav")))
    back = Manifest.read(written(Manifest(clips), tmp_path))
    assert back.clips == clips
    assert back.sha256 == Manifest(clips).sha256


def test_the_first_columns_are_those_that_other_tools_read(tmp_path):
    # Source: nkululeko's CSV, peers.md 5.2.
    path = written(
        Manifest((clip(file=str(tmp_path / "a.wav"), emotion="sad", speaker="own:1"),)), tmp_path
    )
    assert path.read_text().splitlines()[0].startswith("file,emotion,speaker,")
    assert list(rows_of(path)[0])[:3] == ["file", "emotion", "speaker"]
    assert rows_of(path)[0]["file"] == "a.wav"


def test_paths_are_relative_to_the_table_so_that_a_folder_can_move(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    inside, beside = here / "audio" / "a.wav", tmp_path / "other" / "b.wav"
    path = written(
        Manifest((clip("a", file=str(inside)), clip("b", file=str(beside)))), here / "tables"
    )
    assert [row["file"] for row in rows_of(path)] == ["../audio/a.wav", "../../other/b.wav"]
    here.rename(there)
    first, second = Manifest.read(there / "tables" / "m.csv")
    assert first.path == there / "audio" / "a.wav"
    assert second.path == beside


def test_a_relative_path_is_written_from_where_one_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = written(Manifest((clip(file="audio/a.wav"),)), tmp_path / "tables")
    assert rows_of(path)[0]["file"] == "../audio/a.wav"


def test_a_link_keeps_its_own_name(tmp_path):
    # As in a git-annex or datalad folder, where every recording is a link to an object.
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "SHA256E-s4.wav").write_bytes(b"data")
    (tmp_path / "happy.wav").symlink_to(tmp_path / "objects" / "SHA256E-s4.wav")
    back = Manifest.read(written(Manifest((clip(file=str(tmp_path / "happy.wav")),)), tmp_path))
    assert back.clips[0].path == tmp_path / "happy.wav"


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
names = text.filter(lambda name: name not in ("", ".", "..") and not {"/", "\0"} & set(name))


@given(names, text, text, st.floats(0, 1e6), st.floats(1e-3, 1e6))
@example("a,b.wav", "two\r\nlines", "\r", 0.0, 1.0)
@example(' "q".wav', "\ufeff=cmd()", "\0", 0.1, 0.2)
@example(unicodedata.normalize("NFD", "é.wav"), "\t", "'", 1e-9, 1.0)
def test_any_text_survives(tmp_path_factory, name, sentence, label, start, length):
    folder = tmp_path_factory.getbasetemp()
    original = clip(
        name,
        file=str(folder / name),
        sentence=sentence,
        source_label=label,
        start=start,
        end=start + length,
    )
    assert Manifest.read(written(Manifest((original,)), folder, "any.csv")).clips == (original,)


def test_lines_end_alike_on_every_system(tmp_path):
    path = written(Manifest((clip(file=str(tmp_path / "a.wav"), sentence="x"),)), tmp_path)
    assert b"\r" not in path.read_bytes()


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    original = Manifest((clip("ż", file=str(tmp_path / "ż.wav")),))
    path = written(original, tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert Manifest.read(path) == original


def test_no_clips_are_written_and_read(tmp_path):
    assert Manifest.read(written(Manifest(()), tmp_path)) == Manifest(())


def test_a_clip_without_channels_comes_back_without(tmp_path):
    original = Manifest((clip(file=str(tmp_path / "a.wav"), channels=()),))
    assert Manifest.read(written(original, tmp_path)) == original


def test_numbers_of_numpy_are_written_as_numbers(tmp_path):
    original = Manifest(
        (clip(file=str(tmp_path / "a.wav"), start=np.float64(0.1), end=np.float64(0.7)),)
    )
    back = Manifest.read(written(original, tmp_path))
    assert (back.clips[0].start, back.clips[0].end) == (0.1, 0.7)
    assert back.sha256 == original.sha256


def test_writing_makes_the_folder(tmp_path):
    assert written(Manifest((clip(),)), tmp_path / "new" / "folder").is_file()


@pytest.mark.parametrize("where", ["open", "replace"])
def test_a_write_that_fails_leaves_the_old_table(tmp_path, monkeypatch, where):
    path = written(Manifest((clip("old"),)), tmp_path)
    before = path.read_bytes()

    def fail(self, *args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, where, fail)
    with pytest.raises(OSError, match="No space left"):
        Manifest((clip("new"), clip("newer"))).write(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_that_is_not_utf8_is_refused_by_name(tmp_path):
    path = tmp_path / "m.csv"
    odd = clip("b", file=str(tmp_path / "caf\udce9.wav"))  # Latin-1 on disk, as Python holds it
    with pytest.raises(
        ManifestError, match=r"caf\?.wav' is not UTF-8; expected.*Rename the file"
    ) as error:
        Manifest((clip("a", file=str(tmp_path / "a.wav")), odd)).write(path)
    assert error.value.message.isprintable()
    assert not path.exists()


# --- faults in a table -------------------------------------------------------------------------


def table(folder, *rows, header=COLUMNS):
    """Write rows given as {column: text} and return the path."""
    path = folder / "m.csv"
    base = {"file": "a.wav", "corpus": "own", "channels": "voice"}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({**base, "clip_id": f"own/{n}", **row} for n, row in enumerate(rows))
    return path


def refusal(path):
    with pytest.raises(ManifestError) as caught:
        Manifest.read(path)
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(str(path), path.name)


def test_a_table_that_is_not_there_is_named(tmp_path):
    assert refusal(tmp_path / "m.csv") == (
        "ManifestError: m.csv: no such file; expected a manifest. Make one with: affectus import"
    )


def test_a_folder_is_no_table(tmp_path):
    assert "Is a directory" in refusal(tmp_path)


def test_a_table_of_other_letters_is_refused(tmp_path):
    path = tmp_path / "m.csv"
    path.write_bytes("file,emotion\ncafé.wav,sad\n".encode("latin-1"))
    assert refusal(path).endswith(
        "expected a manifest, a CSV in UTF-8. Make one with: affectus import"
    )


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(tmp_path, column):
    path = table(tmp_path, {}, header=[c for c in COLUMNS if c != column])
    text = refusal(path)
    assert text.startswith(
        f"ManifestError: m.csv: no column '{column}'; expected file, emotion, spe"
    )
    assert text.endswith("Import your own table with: affectus import table m.csv")


def test_an_empty_file_has_no_column(tmp_path):
    (tmp_path / "m.csv").write_bytes(b"")
    assert "no column 'file'" in refusal(tmp_path / "m.csv")


def test_a_column_more_is_passed_over(tmp_path):
    path = table(tmp_path, {"mood": "blue"}, header=[*COLUMNS, "mood"])
    assert Manifest.read(path).clips[0].clip_id == "own/0"


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (
            {"emotion": "angri"},
            "emotion 'angri' is not known; known emotions: neutral, calm, happy",
        ),
        ({"emotion": "angri"}, "Did you mean 'angry'?"),
        ({"start": "soon"}, "could not convert string to float: 'soon'"),
        ({"end": "late"}, "could not convert string to float: 'late'"),
        ({"start": "-1"}, "start -1 s, end None s; expected 0 <= start < end"),
        ({"start": "nan"}, "expected 0 <= start < end"),
        ({"start": "inf"}, "expected 0 <= start < end"),
        ({"start": "2", "end": "2"}, "start 2 s, end 2.0 s; expected 0 <= start < end"),
        ({"start": "2", "end": "1"}, "expected 0 <= start < end"),
        ({"end": "nan"}, "expected 0 <= start < end"),
    ],
)
def test_a_bad_cell_is_named_with_its_line(tmp_path, cells, words):
    text = refusal(table(tmp_path, {}, {}, cells, {}))
    assert text.startswith("ManifestError: m.csv:4: ")
    assert words in text


def test_line_numbers_are_those_of_the_file(tmp_path):
    # Blank lines, and a cell of two lines, before the fault.
    path = table(tmp_path, {"sentence": "one\ntwo"}, {"emotion": "angri"})
    path.write_text(
        path.read_text().replace("\nown", "\n\n\nown").replace("\na.wav,angri", "\n\na.wav,angri")
    )
    line = next(n for n, row in enumerate(path.read_text().split("\n"), 1) if "angri" in row)
    assert line == 5
    assert refusal(path).startswith(f"ManifestError: m.csv:{line}: emotion 'angri'")


@pytest.mark.parametrize("change", [lambda row: row + ",more", lambda row: row.rsplit(",", 1)[0]])
def test_a_row_of_more_or_fewer_cells_is_refused(tmp_path, change):
    path = table(tmp_path, {}, {})
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1], change(lines[2])]) + "\n")
    assert refusal(path) == "ManifestError: m.csv:3: not 21 cells; expected one a column."


def test_a_quote_that_never_ends_is_refused(tmp_path):
    path = table(tmp_path, {}, {})
    path.write_text(path.read_text().replace("a.wav", '"a.wav', 1))
    assert refusal(path) == "ManifestError: m.csv:3: unexpected end of data; expected a CSV."


def test_a_cell_of_megabytes_is_refused(tmp_path):
    assert "field larger than field limit" in refusal(
        table(tmp_path, {"sentence": "x" * 2_000_000})
    )


# --- ids and order -----------------------------------------------------------------------------


def test_an_id_that_stands_twice_is_refused_by_name():
    with pytest.raises(ManifestError) as caught:
        Manifest((clip("a"), clip("b"), clip("b"), clip("c"), clip("b"), clip("c")))
    assert str(caught.value) == (
        "ManifestError: manifest: clip id 'own/b' stands 3 times (and 2 ids more than once in "
        "all); expected each once. Rename or remove the copies."
    )


def test_clips_keep_their_order(tmp_path):
    names = ["c", "a", "b"]
    manifest = Manifest(tuple(clip(name, file=str(tmp_path / name)) for name in names))
    assert [c.clip_id for c in Manifest.read(written(manifest, tmp_path))] == [
        "own/c", "own/a", "own/b",
    ]  # fmt: skip
    assert [c.clip_id for c in manifest.filter(lambda c: c.clip_id != "own/a")] == [
        "own/c",
        "own/b",
    ]
    assert len(manifest) == 3


def test_speakers_come_in_natural_order():
    speakers = ["own:10", "own:2", "", "own:1", "own:2", "b:3"]
    manifest = Manifest(tuple(clip(str(n), speaker=s) for n, s in enumerate(speakers)))
    assert manifest.speakers == ("b:3", "own:1", "own:2", "own:10")


def test_corpora_are_sorted_and_each_named_once():
    manifest = Manifest(
        (clip("a", corpus="tess"), clip("b", corpus="own"), clip("c", corpus="own"))
    )
    assert manifest.corpora == ("own", "tess")


def test_natural_order_puts_two_before_twelve():
    names = ["a12", "a2", "a1b10", "a1b9", "b", "", "a", "2", "10", "a02x"]
    assert sorted(names, key=natural_key) == [
        "", "2", "10", "a", "a1b9", "a1b10", "a2", "a02x", "a12", "b",
    ]  # fmt: skip


@given(st.text(max_size=6), st.text(max_size=6))
@example("a", "1")
@example("1a", "11")
@example("\0", "")
def test_any_two_names_can_be_put_in_order(a, b):
    first, second = natural_key(a), natural_key(b)
    assert (first < second) + (first > second) + (first == second) == 1


@given(st.lists(st.integers(0, 10**6)))
def test_natural_order_of_numbers_is_that_of_numbers(numbers):
    assert sorted(map(str, numbers), key=natural_key) == [str(n) for n in sorted(numbers)]


def test_joining_keeps_order_and_notes():
    joined = join_manifests([Manifest((clip("b"),), ("one",)), Manifest((clip("a"),), ("two",))])
    assert [c.clip_id for c in joined] == ["own/b", "own/a"]
    assert joined.notes == ("one", "two")


def test_joining_refuses_an_id_of_both():
    with pytest.raises(ManifestError, match="'own/a' stands 2 times"):
        join_manifests([Manifest((clip("a"),)), Manifest((clip("a"),))])


# --- hashes ------------------------------------------------------------------------------------


def test_the_hash_does_not_depend_on_where_files_lie():
    here = Manifest((clip("a", sha256="1", file="/here/a.wav"),))
    there = Manifest((clip("a", sha256="1", file="/there/x.flac"),), ("a note",))
    assert here.sha256 == there.sha256


@pytest.mark.parametrize(
    "change",
    [
        {"clip_id": "own/z"},
        {"speaker": "own:2"},
        {"emotion": "sad"},
        {"sha256": "2"},
        {"start": 0.5},
        {"end": 0.5},
        {"fault": "bad"},
        {"take": "own/b"},
    ],
)
def test_the_hash_depends_on_what_a_model_would_see(change):
    first = clip("a", sha256="1", emotion="happy", speaker="own:1")
    other = replace(first, **change)
    assert Manifest((first,)).sha256 != Manifest((other,)).sha256


def test_the_hash_depends_on_the_order():
    assert Manifest((clip("a"), clip("b"))).sha256 != Manifest((clip("b"), clip("a"))).sha256


def test_stretches_of_one_file_are_not_the_same_content():
    whole, first = clip(sha256="ab"), clip(sha256="ab", end=1.0)
    assert whole.content_key == "ab"
    assert first.content_key == "ab:0.0-1.0"
    assert clip(sha256="ab", start=0.5).content_key == "ab:0.5-None"
    assert (
        clip(sha256="ab", start=1, end=2).content_key
        == clip(sha256="ab", start=1.0, end=2.0).content_key
    )


def test_a_file_is_hashed_by_its_bytes(make_file):
    data = bytes(range(256)) * 4_000
    assert hash_file(make_file("a.bin", data)) == hashlib.sha256(data).hexdigest()


def test_hashes_are_filled_in_and_a_lost_file_becomes_a_fault(make_file, tmp_path):
    kept = clip("a", file=str(make_file("a.wav", b"sound")))
    lost = clip("b", file=str(tmp_path / "gone.wav"))
    faulty = clip("c", file=str(tmp_path / "gone.wav"), fault="bad name")
    manifest = with_hashes(Manifest((kept, lost, faulty), ("a note",)))
    first, second, third = manifest
    assert first.sha256 == hashlib.sha256(b"sound").hexdigest()
    assert (first.fault, second.sha256) == ("", "")
    assert second.fault == "file cannot be read: No such file or directory"
    assert third.fault == "bad name"
    assert manifest.notes == ("a note",)


# --- clips to be left out ----------------------------------------------------------------------


def test_an_excluded_clip_has_a_fault_that_says_why():
    clips = (clip("a"), clip("b", fault="not understood"), clip("c"))
    found = Manifest(clips, notes=("a note",)).excluding({"own/a": "silent", "own/b": "silent"})
    assert [c.fault for c in found] == ["excluded: silent", "not understood", ""]
    assert found.notes == ("a note",)
    assert found.sha256 != Manifest(clips).sha256


def test_a_clip_that_is_not_there_cannot_be_excluded():
    with pytest.raises(ManifestError) as caught:
        Manifest((clip("a"),)).excluding({"own/a": "silent", "own/x": "silent", "own/y": ""})
    assert caught.value.message == (
        "exclusions: 2 clips are not in the manifest (the first: own/x); expected clips of it. "
        "Make the list anew: affectus audit --exclusions"
    )


WORDS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1)


@given(st.dictionaries(WORDS, WORDS))
def test_exclusions_are_read_as_they_were_written(tmp_path_factory, reasons):
    path = tmp_path_factory.mktemp("bad") / "bad.csv"
    write_exclusions(reasons, path)
    assert read_exclusions(path) == reasons


def test_exclusions_may_be_written_by_hand(tmp_path):
    (tmp_path / "bad.csv").write_text('\ufeffclip_id, reason\r\nown/a,\r\n\r\n"own/b","x, y"\r\n')
    assert read_exclusions(tmp_path / "bad.csv") == {
        "own/a": "no reason given",
        "own/b": "x, y",
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("own/a,silent\n", "bad.csv:1: columns own/a, silent; expected clip_id,reason"),
        ("", "bad.csv:1: columns none; expected clip_id,reason"),
        ("clip_id,reason\nown/a\n", "bad.csv:2: 1 cells; expected a clip id and a reason"),
        ("clip_id,reason\nown/a,x, y\n", "bad.csv:2: 3 cells; expected a clip id and a reason"),
        ('clip_id,reason\n"own/a" b,x\n', "bad.csv:2: "),
        (b"clip_id,reason\n\xff,x\n", "expected a CSV clip_id,reason in UTF-8"),
        (None, "bad.csv: No such file or directory; expected a CSV clip_id,reason"),
    ],
)
def test_a_bad_list_of_exclusions_is_refused_with_its_place(tmp_path, text, found):
    if text is not None:
        (tmp_path / "bad.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ManifestError, match=re.escape(found)):
        read_exclusions(tmp_path / "bad.csv")


def test_exclusions_are_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "bad.csv"
    write_exclusions({"own/a": "silent"}, path)
    with pytest.raises(UnicodeEncodeError):
        write_exclusions({"own/\ud800": "silent"}, path)
    assert read_exclusions(path) == {"own/a": "silent"}
    assert [file.name for file in tmp_path.iterdir()] == ["bad.csv"]


def test_what_has_no_end_is_not_hashed(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    clips = (
        Clip("own/0", "own", str(tmp_path / "pipe.wav")),
        Clip("own/1", "own", "/dev/zero"),
    )
    for clip in with_hashes(Manifest(clips)):
        assert (clip.sha256, clip.fault) == ("", "file cannot be read: not a regular file")
