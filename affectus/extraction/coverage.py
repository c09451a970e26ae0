"""What became of every clip of a manifest, and whether all have their features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from affectus.errors import DiskError, StoreError
from affectus.manifest import Manifest
from affectus.store import FeatureStore


class Failure(NamedTuple):
    """A clip without features, and why."""

    clip_id: str
    code: str
    reason: str


@dataclass(frozen=True)
class ExtractionReport:
    """What became of every clip of a manifest: `done` + `failed` + `skipped` = `planned`.

    `new` of the done ones were made by this run. Skipped clips have a fault in the manifest.
    """

    planned: int
    done: int
    new: int
    failed: tuple[Failure, ...]
    skipped: tuple[Failure, ...]

    @property
    def ok(self) -> bool:
        """Whether every clip has its features."""
        return self.done == self.planned


def report_on(manifest: Manifest, store: FeatureStore, name: str, n_new: int) -> ExtractionReport:
    """Say what became of every clip; `n_new` of them were made by this run.

    Raises DiskError if the index does not add up.
    """
    lacking = store.lacking(name, (clip.content_key for clip in manifest if not clip.fault))
    done, failed, skipped = 0, [], []
    for clip in manifest:
        if clip.fault:
            skipped.append(Failure(clip.clip_id, "", clip.fault))
        elif (item := lacking.get(clip.content_key)) is None:
            done += 1
        elif item.state == "failed":
            failed.append(Failure(clip.clip_id, item.code, item.reason))
        else:
            failed.append(Failure(clip.clip_id, "", "not extracted yet"))
    report = ExtractionReport(len(manifest), done, n_new, tuple(failed), tuple(skipped))
    if report.done + len(report.failed) + len(report.skipped) != report.planned:
        raise DiskError(f"{store.folder}: the ledger does not add up: {report}")
    return report


def check_coverage(manifest: Manifest, store: FeatureStore, name: str) -> None:
    """Refuse to go on unless every sound clip of the manifest has its features.

    Raises StoreError with counts and the command that mends it.
    """
    report = report_on(manifest, store, name, 0)
    usable = report.planned - len(report.skipped)
    if report.done < usable:
        command = f"affectus extract MANIFEST --features {name} --store {store.folder}"
        refused = [failure for failure in report.failed if failure.code]
        why = ""
        if refused:
            why = f", {len(refused):,} failed (the first: {refused[0].code} {refused[0].reason})"
            command += " --retry-failed"
        if name in store.features() and store.record(name).get("kind") == "imported":
            command = (
                f"affectus import-features FILES --manifest MANIFEST --store {store.folder} "
                f"--name {name}; its --matched FILE gets the manifest of the clips that are there"
            )
        raise StoreError(
            f"the store holds {report.done:,} of {usable:,} clips for '{name}'{why}; expected all. "
            f"Run: {command}"
        )
