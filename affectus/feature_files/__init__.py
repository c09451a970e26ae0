"""Feature files of other tools, into a store and out of one.

    npz.py         one .npz a clip, as the earlier audio-video system wrote them, and as we do
    tables.py      a CSV with one row a clip
    contents.py    what a file says of one clip, and what is wrong with it
    matching.py    which file is of which clip
    layout.py      what all clips of a set have in common
    labels.py      emotions in the files, held against the manifest
    importing.py   files and a manifest to a feature set of a store
    exporting.py   a feature set to one .npz a clip

No pickled object is ever opened: arrays are read one by one, object arrays are passed over and
named. A file is refused with a stable code, and the others go on:

    E1701 cannot be read      E1703 times do not fit     E1705 no frame with content
    E1702 not such frames     E1704 not finite numbers
"""

from __future__ import annotations

from affectus.feature_files.exporting import ExportReport, export_features
from affectus.feature_files.importing import ImportReport, import_features

__all__ = ["ExportReport", "ImportReport", "export_features", "import_features"]
