"""Emotion corpora: a reader each, all of one shape. `affectus corpora` prints this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from affectus.corpora import banglaser, cremad, emodb, nemo, ravdess, savee, tess
from affectus.corpora.corpus import Corpus, Ratings, read_corpus
from affectus.corpora.folder import read_folder
from affectus.corpora.renamed import read_renamed
from affectus.corpora.table import missing_files_note, read_table
from affectus.errors import CorpusError, nearest
from affectus.manifest import Clip, Manifest, with_hashes

__all__ = [
    "Corpus", "expected_clips", "expected_counts", "find_corpus", "list_corpora", "load_corpus",
]  # fmt: skip

_CORPORA: dict[str, Corpus] = {
    module.CORPUS.name: module.CORPUS
    for module in (banglaser, cremad, emodb, nemo, ravdess, savee, tess)
}
_OWN = ("table", "folder", "renamed")


def list_corpora() -> tuple[Corpus, ...]:
    """Return the published corpora that can be read, by name."""
    return tuple(_CORPORA[name] for name in sorted(_CORPORA))


def find_corpus(name: str) -> Corpus:
    """Return a published corpus, or raise CorpusError with the known names and the nearest."""
    if name not in _CORPORA:
        known = (*sorted(_CORPORA), *_OWN)
        raise CorpusError(
            f"no corpus '{name}'; known corpora: {', '.join(known)}.{nearest(name, known)}"
        )
    return _CORPORA[name]


def load_corpus(
    name: str,
    folder: Path | str,
    *,
    corpus_name: str | None = None,
    speaker: str | None = None,
    spellings: Mapping[str, str | None] | None = None,
    root: Path | str | None = None,
    parts: Sequence[str] | None = None,
    label: str = "intended",
    raters: str | None = None,
    on_progress: Callable[[int, int], None] = lambda hashed, total: None,
) -> Manifest:
    """Read a corpus folder, a user's table ('table') or a folder per class ('folder').

    'renamed' reads a set that was given RAVDESS's names by hand, as a corpus of its own.

    `corpus_name` names a user's own corpus, `speaker` is the regular expression that finds a
    speaker in a path. `spellings` says what the labels of own data mean that are not known
    ({'exc': 'happy', 'unhappy': None}), `root` where the paths of a table begin. `parts` keeps
    parts of a published corpus, such as 'speech' of ravdess (`Corpus.parts`). Where a corpus has
    votes (cremad), `label` is 'intended' or 'perceived', and `raters` ('voice', 'face', 'both')
    says whose votes count; by default those who judged what the file holds. Every clip's file is
    hashed, so this reads each file once; `on_progress` is told how many are, of how many.
    """
    path = Path(folder)
    ratings = Ratings(label, raters)
    if name in _OWN and (parts or ratings != Ratings()):
        raise CorpusError(
            f"{name}: has no parts and no raters; expected a published corpus with --parts, "
            f"--label or --raters. Leave them out."
        )
    if name not in ("table", "folder") and (speaker or spellings):
        raise CorpusError(
            f"{name}: says itself who speaks and what its labels mean; expected --speaker and "
            f"--map for a table or a folder of your own only. Leave them out."
        )
    if name != "table" and root is not None:
        raise CorpusError(
            f"{name}: has no paths of a table; expected --root for a table only. Leave it out."
        )
    if name == "table":
        manifest = read_table(
            path,
            corpus_name,
            root=None if root is None else Path(root),
            speaker=speaker,
            spellings=spellings,
        )
    elif name == "folder":
        manifest = read_folder(path, corpus_name, speaker=speaker, spellings=spellings)
    elif name == "renamed":
        manifest = read_renamed(path, corpus_name)
    else:
        manifest = read_corpus(find_corpus(name), path, parts, ratings)
    hashed = with_hashes(manifest, on_progress)
    if name != "table":
        return hashed
    missing = missing_files_note(hashed, path.parent if root is None else Path(root))
    return Manifest(hashed.clips, (*hashed.notes, *missing))


def expected_clips(manifest: Manifest) -> tuple[Clip, ...]:
    """Return the clips that the published corpora named in the manifest should hold."""
    return tuple(
        clip
        for name in manifest.corpora
        if name in _CORPORA
        for clip in _CORPORA[name].expected(manifest)
    )


def expected_counts(manifest: Manifest) -> dict[str, int]:
    """Return how many clips the published corpora named in the manifest should hold.

    It counts `expected_clips`, and also the corpora whose names are not known, only their number.
    """
    return {
        name: _CORPORA[name].n_expected(manifest) for name in manifest.corpora if name in _CORPORA
    }
