"""A feature set to one .npz a clip that numpy opens without pickle, and an index."""

from __future__ import annotations

import csv
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affectus.errors import ConfigError, DiskError, StoreError
from affectus.face_rows import holds_faces, read_rows
from affectus.features import read_record
from affectus.manifest import Manifest
from affectus.store import FeatureStore

_INDEX = ("file", "clip_id", "emotion", "speaker", "corpus", "n_frames")


@dataclass(frozen=True)
class ExportReport:
    """How many clips were written, and which had no features."""

    written: int
    missing: tuple[str, ...]


def export_features(
    store: FeatureStore, manifest: Manifest, folder: Path | str, name: str = ""
) -> ExportReport:
    """Write the features of every clip of a manifest to a new folder, complete or not at all.

    `folder/CLIP_ID.npz` holds `features` [T, D] float32, `columns` [D], `frame_rate` (Hz; NaN where
    there is none), `clip_id`, `emotion`, `speaker` ('' where not known); `folder/index.csv` a line
    for each. Of faces, a frame without one is NaN. The same store and manifest give the same bytes.

    Raises ConfigError if the folder exists or the feature set is not said, StoreError if no clip
    has features.
    """
    folder = Path(folder)
    if folder.exists():
        raise ConfigError(f"{folder}: there already; expected a new folder. Choose another name.")
    names = store.features()
    if not name and len(names) != 1:
        raise ConfigError(
            f"{store.folder}: holds {', '.join(names) or 'nothing'}; expected one feature set. Say "
            f"which: --features NAME"
        )
    name = name or names[0]
    record = store.record(name)
    faces = holds_faces(record)
    columns, frame_rate = read_record(record)
    done = {item.key for item in store.ledger(name) if item.state == "done"}
    clips = [clip for clip in manifest if clip.content_key in done and not clip.fault]
    if not clips:
        raise StoreError(
            f"{store.folder}: '{name}' holds no clip of the manifest; expected some. Extract them, "
            f"or give the manifest that the store was made from."
        )
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        with (temporary / "index.csv").open("w", encoding="utf-8", newline="") as file:
            index = csv.writer(file, lineterminator="\n")
            index.writerow(_INDEX)
            for clip in clips:
                frames = store.get(name, clip.content_key)
                frames = read_rows(frames) if faces else frames
                place = f"{_plain_path(clip.clip_id)}.npz"
                path = temporary / place
                path.parent.mkdir(parents=True, exist_ok=True)
                np.savez(
                    path,
                    features=frames,
                    columns=np.array(columns),
                    frame_rate=np.float64(np.nan if frame_rate is None else frame_rate),
                    clip_id=np.array(clip.clip_id),
                    emotion=np.array(clip.emotion or ""),
                    speaker=np.array(clip.speaker),
                )
                index.writerow(
                    (
                        place,
                        clip.clip_id,
                        clip.emotion or "",
                        clip.speaker,
                        clip.corpus,
                        len(frames),
                    )
                )
        temporary.replace(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise DiskError(
            f"{folder}: {error.strerror}; expected a folder to write. Check space and rights."
        ) from error
    kept = {clip.clip_id for clip in clips}
    return ExportReport(len(clips), tuple(c.clip_id for c in manifest if c.clip_id not in kept))


def _plain_path(clip_id: str) -> str:
    """Return a clip id as a path that stays in its folder, whatever the id holds."""
    parts = [part for part in clip_id.replace("\\", "_").replace("\0", "_").split("/") if part]
    return "/".join(part if part.strip(".") else "_" * len(part) for part in parts) or "_"
