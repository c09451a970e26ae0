"""Which feature file, or row of a table, is of which clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from affectus.corpora import list_corpora
from affectus.errors import ConfigError, LabelError, ManifestError
from affectus.feature_files.contents import SHOWN, Contents, some_of
from affectus.feature_files.npz import choose_key, read_npz
from affectus.feature_files.tables import read_table
from affectus.manifest import Clip, Manifest, natural_key


class Source(NamedTuple):
    """One clip's features in some file: names it may be known by, where it is, how it is read."""

    names: tuple[str, ...]
    place: str
    read: Callable[[], Contents]


Clips = Mapping[str, tuple[Clip, Source]]  # by clip id, in their order


def find_sources(
    places: Sequence[Path], key: str, id_column: str, without: Sequence[str], notes: list[str]
) -> tuple[list[Source], str]:
    """Return what files and folders hold, one source a clip, and in words what kind it is.

    Raises ConfigError for a mixture, FeatureFileError for a table that cannot be read.
    """
    files = _list_files(places)
    if files[0].suffix.lower() == ".csv":
        return list(_table_sources(files, id_column, without, notes)), "csv"
    roots = [place for place in places if place.is_dir()]
    chosen = key or choose_key(files[0])
    return [_npz_source(path, roots, chosen) for path in files], f"npz {chosen}"


def match_clips(
    found: Sequence[Source], manifest: Manifest, notes: list[str]
) -> tuple[dict[str, tuple[Clip, Source]], list[str], list[str]]:
    """Return each clip's source by clip id, the places of no clip, and what is ambiguous.

    A name is that of a clip, or of its file with or without ending, or, where a published corpus's
    reader understands it, that of another recording of the clip's performance.
    """
    index = _Index([clip for clip in manifest if not clip.fault])
    clips: dict[str, tuple[Clip, Source]] = {}
    strays: list[str] = []
    findings: list[str] = []
    by_take: list[str] = []
    for source in found:
        likely = index.by_name(source.names)
        if not likely and (likely := index.by_take(source.names[-1])):
            by_take.append(f"{source.place} of {likely[0].clip_id}")
        if not likely:
            strays.append(source.place)
        elif len(likely) > 1:
            named = some_of([clip.clip_id for clip in likely])
            findings.append(f"{source.place} may be of {named}; expected one clip")
        elif likely[0].clip_id in clips:
            first = clips[likely[0].clip_id][1].place
            findings.append(f"{source.place} is of {likely[0].clip_id}, as {first} is; not used")
        else:
            clips[likely[0].clip_id] = (likely[0], source)
    if not clips:
        clip_id = next(iter(index.ids), "none")
        raise ManifestError(
            f"none of {len(found):,} feature files is of a clip of the manifest (the first is "
            f"'{found[0].place}', the first clip '{clip_id}'); expected the same names. Rename the "
            f"files, or give the manifest that they were made from."
        )
    if by_take:
        notes.append(
            f"{len(by_take):,} files are of another recording of a clip's performance: "
            f"{some_of(by_take)}"
        )
    return dict(sorted(clips.items())), strays, findings


class _Index:
    """Clips by their ids, by the names of their files, and by their takes."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        self.ids = {clip.clip_id: clip for clip in clips}
        self.names: dict[str, list[Clip]] = {}
        self.takes: dict[str, list[Clip]] = {}
        for clip in clips:
            for name in {clip.clip_id.rpartition("/")[2], clip.path.stem, clip.path.name}:
                self.names.setdefault(name, []).append(clip)
            if clip.take:
                self.takes.setdefault(clip.take, []).append(clip)
        published = {corpus.name: corpus for corpus in list_corpora()}
        used = {clip.corpus for clip in clips}
        self.readers = [corpus.read_clip for name, corpus in published.items() if name in used]

    def by_name(self, names: Sequence[str]) -> list[Clip]:
        """Return the clips that the first name that says anything may mean."""
        exact = [self.ids[name] for name in names if name in self.ids]
        return exact[:1] or next((self.names[name] for name in names if name in self.names), [])

    def by_take(self, name: str) -> list[Clip]:
        """Return the clips of the performance that a published corpus calls so."""
        for read_clip in self.readers:
            try:
                take = read_clip(Path(f"{name}.wav")).take
            except LabelError:
                continue
            if take in self.takes:
                return self.takes[take]
        return []


def _list_files(sources: Sequence[Path]) -> list[Path]:
    """Return the .npz files, or where there are none the .csv files, in natural order."""
    files: list[Path] = []
    for source in sources:
        if source.is_dir():
            inside = [path for path in source.rglob("*") if path.is_file()]
            npz = [path for path in inside if path.suffix.lower() == ".npz"]
            files += npz or [path for path in inside if path.suffix.lower() == ".csv"]
        else:
            files.append(source)
    endings = {path.suffix.lower() for path in files}
    if not files or not endings <= {".npz", ".csv"} or len(endings) > 1:
        told = ", ".join(sorted(endings)) or "nothing"
        places = ", ".join(map(str, sources[:SHOWN]))
        raise ConfigError(
            f"{places}: found {told}; expected .npz files, or .csv tables, not both. Name them."
        )
    return sorted(set(files), key=lambda path: natural_key(path.as_posix()))


def _npz_source(path: Path, roots: Sequence[Path], key: str) -> Source:
    inside = [path.relative_to(root) for root in roots if path.is_relative_to(root)]
    names = [place.with_suffix("").as_posix() for place in inside]
    return Source((*names, path.stem), path.name, partial(read_npz, path, key))


def _table_sources(
    files: Sequence[Path], id_column: str, without: Sequence[str], notes: list[str]
) -> Iterator[Source]:
    for path in files:
        table = read_table(path, id_column, without)
        if table.left_out:
            notes.append(
                f"{path.name}: columns that are no features are left out: "
                f"{', '.join(table.left_out)}"
            )
        for identity, line, contents in table.rows:
            names = (identity, Path(identity).stem)
            yield Source(names, f"{path.name}:{line}", partial(_give, contents))


def _give(contents: Contents) -> Contents:
    return contents
