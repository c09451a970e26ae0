"""The audit: is this data what it says it is? Checks over a manifest, the recordings behind it, and
a feature store.

Errors forbid training until they are mended or waved through by name; warnings are for a person to
judge; notes are facts worth knowing. A count is a count of clip identities, never of files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from affectus.audit.completeness import check_completeness, count_corpora, count_groups
from affectus.audit.confounding import check_confounds, find_confounds
from affectus.audit.copies import check_copies
from affectus.audit.findings import (
    SEVERITIES,
    AuditReport,
    Confound,
    CorpusCount,
    Distribution,
    FeatureCount,
    Finding,
    GroupCount,
    Severity,
)
from affectus.audit.listening import Heard, Progress, listen
from affectus.audit.page import render_audit, write_audit
from affectus.audit.rows import check_balance, check_rows
from affectus.audit.sound import check_heard, describe_distributions
from affectus.audit.stored import FeatureShape, check_store
from affectus.audit.terminal import print_report
from affectus.manifest import Clip, Manifest
from affectus.media import Limits
from affectus.store import FeatureStore

__all__ = [
    "AuditReport",
    "Confound",
    "CorpusCount",
    "Distribution",
    "FeatureCount",
    "FeatureShape",
    "Finding",
    "GroupCount",
    "Severity",
    "audit_manifest",
    "check_completeness",
    "print_report",
    "render_audit",
    "write_audit",
]


def audit_manifest(
    manifest: Manifest,
    expected: Sequence[Clip] = (),
    *,
    n_expected: Mapping[str, int] | None = None,
    store: FeatureStore | None = None,
    shapes: Mapping[str, FeatureShape] | None = None,
    limits: Limits = Limits(),
    workers: int = 0,
    on_progress: Progress = lambda heard, total: None,
) -> AuditReport:
    """Check names, labels, counts and balance, hear every recording once, and look at features.

    `expected` lists the clips that the published corpora should hold (`expected_clips`);
    `n_expected` has the number of clips of a corpus whose names are not known. With a `store`, its
    features of these clips are checked, too; `shapes` says what an extractor gives. The recordings
    are heard by `workers` child processes, with 0 by this one. Clips without a voice (video without
    sound) are not heard.

    Raises AuditError if worker processes cannot begin.
    """
    heard_of = [clip for clip in manifest if not clip.fault and "voice" in clip.channels]
    found = listen(heard_of, limits=limits, workers=workers, on_progress=on_progress)
    heard = {clip_id: item for clip_id, item in found.items() if isinstance(item, Heard)}
    seconds = {clip_id: item.seconds for clip_id, item in heard.items()}
    confounds = find_confounds(manifest, heard)
    findings = [
        *check_completeness(manifest, expected, n_expected),
        *check_rows(manifest, expected),
        *check_heard(manifest, found),
        *check_copies(manifest, heard),
        *check_balance(manifest),
        *check_confounds(confounds),
    ]
    features: tuple[FeatureCount, ...] = ()
    if store is not None:
        features, absent = check_store(manifest, store, shapes or {}, seconds)
        findings += absent
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return AuditReport(
        count_corpora(manifest, expected, n_expected or {}, seconds),
        tuple(findings),
        count_groups(manifest, expected, seconds),
        describe_distributions(manifest, heard),
        confounds,
        features,
    )
