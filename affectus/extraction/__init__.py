"""Extraction: a manifest, the decode gate and an extractor, into a feature store.

The work is cut into shards of fixed membership. Making one is a task that any process can do and
do again: decode, extract, write. The store's index is told when the file is safe on disk. So a
run that was killed goes on where it stopped and ends with the same bytes.
"""

from affectus.extraction.copies import count_without_fingerprint, near_pairs, sound_hashes
from affectus.extraction.coverage import ExtractionReport, Failure, check_coverage
from affectus.extraction.engine import extract_features
from affectus.extraction.mending import Mended, mend_store
from affectus.extraction.progress import RunProgress, read_progress

__all__ = [
    "ExtractionReport",
    "Failure",
    "Mended",
    "RunProgress",
    "check_coverage",
    "count_without_fingerprint",
    "extract_features",
    "mend_store",
    "near_pairs",
    "read_progress",
    "sound_hashes",
]
