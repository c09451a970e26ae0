"""Emotion corpora: a reader each, all of one shape. `affectus corpora` prints this table."""

from __future__ import annotations

from pathlib import Path

from affectus.corpora import ravdess
from affectus.corpora.corpus import Corpus, read_corpus
from affectus.corpora.table import read_folder, read_table
from affectus.errors import CorpusError, nearest
from affectus.manifest import Clip, Manifest, with_hashes

__all__ = ["Corpus", "expected_clips", "find_corpus", "list_corpora", "load_corpus"]

_CORPORA: dict[str, Corpus] = {module.CORPUS.name: module.CORPUS for module in (ravdess,)}
_OWN = ("table", "folder")


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
) -> Manifest:
    """Read a corpus folder, a user's table ('table') or a folder per class ('folder').

    `corpus_name` names a user's own corpus, `speaker` is the regular expression that finds a
    speaker in a path (`folder` only). Every clip's file is hashed, so this reads each file once.
    """
    path = Path(folder)
    if name == "table":
        manifest = read_table(path, corpus_name)
    elif name == "folder":
        manifest = read_folder(path, corpus_name, speaker)
    else:
        manifest = read_corpus(find_corpus(name), path)
    return with_hashes(manifest)


def expected_clips(manifest: Manifest) -> tuple[Clip, ...]:
    """Return the clips that the published corpora named in the manifest should hold."""
    return tuple(
        clip
        for name in manifest.corpora
        if name in _CORPORA
        for clip in _CORPORA[name].expected(manifest)
    )
