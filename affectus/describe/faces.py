"""The faces that were found, as a page to look at: no check sees what an eye does."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from affectus.errors import StoreError
from affectus.face_rows import INFO, split_rows
from affectus.manifest import Manifest
from affectus.media import encode_png
from affectus.page import render_page, render_percent, render_section, render_text, write_page
from affectus.store import FeatureStore

_CLIPS = 48
_FRAMES = 10  # of each, evenly spread
_WORST = 12  # clips with the fewest faces, which come first
_STYLE = """
.faces { display: flex; flex-wrap: wrap; gap: 2px; margin: .3rem 0 1.4rem; }
.faces img, .faces i { width: 80px; height: 80px; display: block; }
.faces i { background: repeating-linear-gradient(45deg, var(--line) 0 2px, transparent 2px 9px); }
.clip { margin: 0; font-weight: 500; overflow-wrap: anywhere; }
"""


class _Seen(NamedTuple):
    clip_id: str
    key: str
    share: float
    blur: float
    n_frames: int


def write_faces(
    store: FeatureStore, path: Path | str, manifest: Manifest | None = None
) -> tuple[int, int]:
    """Write a page of face crops, and return how many clips are on it, of how many.

    First the clips with the fewest faces, then others, evenly spread over the store; of each,
    frames evenly spread over its time. A frame without a face is hatched.

    Raises StoreError if the store holds no face_crops.
    """
    name = "face_crops"
    record = store.record(name)
    keys = None if manifest is None else {clip.content_key for clip in manifest}
    clips = [
        _measure(item.clip_id, item.key, array)
        for item, array in store.walk(name)
        if keys is None or item.key in keys
    ]
    if not clips:
        raise StoreError(
            f"{store.folder}: '{name}' of no clip; expected some. Run: affectus extract MANIFEST "
            f"--features {name} --store {store.folder}"
        )
    worst = sorted(clips, key=lambda clip: (clip.share, clip.clip_id))[:_WORST]
    others = sorted((clip for clip in clips if clip not in worst), key=lambda clip: clip.clip_id)
    places = np.unique(np.linspace(0, len(others) - 1, min(len(others), _CLIPS - len(worst))))
    shown = [*worst, *(others[round(place)] for place in places)] if others else worst
    shape = (record["size"], record["size"]) + ((3,) if record["colour"] else ())
    total = sum(clip.n_frames for clip in clips)
    found = sum(clip.share * clip.n_frames for clip in clips)
    body = f"<header><h1>Faces</h1><p>{len(shown):,} of {len(clips):,} clips, the ones with the "
    body += f"fewest faces first. A face in {render_percent(found / total if total else None)} of "
    body += f"{total:,} frames. Hatched: none was found.</p></header>\n"
    body += render_section("Clips", "".join(_strip(store, name, clip, shape) for clip in shown))
    write_page(render_page("Faces that were found", body, _STYLE, pictures=True), path)
    return len(shown), len(clips)


def _measure(clip_id: str, key: str, array: NDArray[Any]) -> _Seen:
    rows = split_rows(array)
    blur = rows.info[rows.found, INFO.index("blur")]
    return _Seen(
        clip_id,
        key,
        float(rows.found.mean()) if len(array) else 0.0,
        float(np.median(blur)) if len(blur) else np.nan,
        len(array),
    )


def _strip(store: FeatureStore, name: str, clip: _Seen, shape: Sequence[int]) -> str:
    """Return one clip's frames."""
    rows = split_rows(store.get(name, clip.key))
    places = np.unique(np.linspace(0, len(rows.info) - 1, min(len(rows.info), _FRAMES)).round())
    tiles = []
    for place in places.astype(int):
        time = f"{rows.times[place]:.2f}\u202fs"
        if rows.found[place]:
            data = base64.b64encode(encode_png(rows.values[place].reshape(shape))).decode()
            tiles.append(f'<img src="data:image/png;base64,{data}" alt="{time}" title="{time}">')
        else:
            tiles.append(f'<i title="{time}: no face"></i>')
    text = f"a face in {render_percent(clip.share)} of {clip.n_frames:,} frames"
    if np.isfinite(clip.blur):
        text += f", blur {clip.blur:.2f}"
    return (
        f'<p class="clip">{render_text(clip.clip_id)} <span class="muted">{text}</span></p>\n'
        f'<div class="faces">{"".join(tiles)}</div>\n'
    )
