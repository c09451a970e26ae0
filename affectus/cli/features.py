"""Commands on features and stores: extract, status, describe, doctor, import and export."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from affectus.cli.app import AsJson, ManifestFile, Store, app
from affectus.console import print_json, print_table, progress, say
from affectus.errors import CorpusError, nearest

if TYPE_CHECKING:
    from affectus.manifest import Manifest


@app.command()
def extract(
    manifest: ManifestFile,
    store: Store,
    features: Annotated[str, typer.Option(help="The extractor's name.")] = "logmel",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A parameter, e.g. n_mels=128.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="embedding: a trained model's folder.")] = None,
    workers: Annotated[
        int, typer.Option(min=0, max=256, help="Processes; 0: in this one, unprotected.")
    ] = 1,
    cluster: Annotated[str | None, typer.Option(help="ray: on the nodes of a Ray cluster.")] = None,
    address: Annotated[str | None, typer.Option(help="The cluster's, or RAY_ADDRESS.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="A clip's id; may be given often. No others.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option(help="Try failed clips again.")] = False,
    force: Annotated[bool, typer.Option(help="Forget what was done of these clips.")] = False,
    max_error_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Stop beyond this share, after 200 clips.")
    ] = 0.05,
    clip_seconds: Annotated[float, typer.Option(help="Time for one clip; then it fails.")] = 60.0,
    max_seconds: Annotated[float, typer.Option(help="Longest clip.")] = 600.0,
    as_json: AsJson = False,
) -> int:
    """Compute features once into a store. Run again to go on after an interruption."""
    from affectus.experiment import parse_changes
    from affectus.extraction import extract_features
    from affectus.features import create_extractor
    from affectus.manifest import Manifest
    from affectus.media import Limits

    parameters = parse_changes(set_ or [])
    if model is not None:
        parameters["model"] = str(model)
    extractor = create_extractor(features, **parameters)
    for text in getattr(extractor, "cautions", ()):
        say(f"caution: {text}")
    note = ""
    with progress("extracting") as advance:

        def tell(finished: int, failed: int, total: int) -> None:
            nonlocal note
            note = f"{failed:,} failed" if failed else ""
            if cluster or finished == total:
                advance(finished, total, note)

        report = extract_features(
            _only(Manifest.read(manifest), only or []),
            extractor,
            store,
            workers=workers,
            cluster=cluster,
            address=address,
            retry_failed=retry_failed,
            force=force,
            max_error_rate=max_error_rate,
            seconds_per_clip=clip_seconds,
            limits=Limits(max_seconds=max_seconds),
            on_clip=lambda taken, total: advance(min(taken, total - 1), total, note),
            on_progress=tell,
        )
    for failure in (*report.failed, *report.skipped):
        say(f"no features: {failure.clip_id}: {failure.code} {failure.reason}".strip())
    if as_json:
        print_json({**vars(report), "ok": report.ok})
    else:
        print(
            f"{store}: {report.planned:,} planned = {report.done:,} done ({report.new:,} now) + "
            f"{len(report.failed):,} failed + {len(report.skipped):,} skipped"
        )
    return 0 if report.ok else 1


def _only(manifest: Manifest, clip_ids: Sequence[str]) -> Manifest:
    """Return the clips that are named, or all if none is."""
    if not clip_ids:
        return manifest
    known = {clip.clip_id for clip in manifest}
    for clip_id in clip_ids:
        if clip_id not in known:
            raise CorpusError(
                f"--only {clip_id}: no such clip in the manifest; expected an id of its column "
                f"clip_id.{nearest(clip_id, known)}"
            )
    return manifest.filter(lambda clip: clip.clip_id in clip_ids)


@app.command()
def status(store: Annotated[Path, typer.Argument(help="A store.")], as_json: AsJson = False) -> int:
    """Say what a store holds, what failed, how far a run is. From any machine."""
    from affectus.extraction import read_progress
    from affectus.store import FeatureStore

    running = read_progress(store)

    with FeatureStore(store) as opened:
        names = opened.features()
        found = {name: (opened.record(name), list(opened.ledger(name))) for name in names}
    counts = {name: Counter(item.state for item in items) for name, (_, items) in found.items()}
    failures = [
        {"features": name, "clip_id": item.clip_id, "code": item.code, "reason": item.reason}
        for name, (_, items) in found.items()
        for item in items
        if item.state == "failed"
    ]
    if as_json:
        records = {name: record for name, (record, _) in found.items()}
        print_json({"counts": counts, "failures": failures, "records": records, "running": running})
    else:
        states = ("done", "failed", "planned")
        print_table(
            ("features", *states),
            [(name, *(states_of[state] for state in states)) for name, states_of in counts.items()],
        )
        if running is not None:
            print(
                f"being written by process {running.process} on {running.host}: "
                f"{running.finished:,} of {running.total:,}, {running.failed:,} failed, "
                f"{running.rate:,.1f}/s, "
                f"{(running.total - running.finished) / max(running.rate, 1e-9):,.0f} s left; "
                f"last heard of {time.time() - running.heard:,.0f} s ago"
            )
        for failure in failures:
            print("failed: {clip_id}: {code} {reason}".format(**failure))
    return 1 if any(c["failed"] or c["planned"] for c in counts.values()) else 0


@app.command()
def describe(
    places: Annotated[list[Path], typer.Argument(help="Stores, manifests, or both.")],
    features: Annotated[str | None, typer.Option(help="One feature set; all by default.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with pictures.")] = None,
    faces: Annotated[
        Path | None, typer.Option(help="Write a page of the faces that were found, to look at.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what stores and manifests hold, in figures by corpus."""
    from affectus import describe
    from affectus.manifest import Manifest, join_manifests
    from affectus.store import FeatureStore

    tables = {path: Manifest.read(path) for path in places if not path.is_dir()}
    found: list[Any] = [describe.describe_manifest(t, path.name) for path, t in tables.items()]
    clips = join_manifests(tables.values()) if tables else None
    for folder in (path for path in places if path.is_dir()):
        with FeatureStore(folder) as store, progress("counting") as advance:
            if faces:
                shown, n_clips = describe.write_faces(store, faces, clips)
                say(f"{faces}: written, {shown:,} of {n_clips:,} clips")
            for name in (features,) if features else store.features():
                found.append(  # noqa: PERF401
                    describe.describe_features(
                        store, name, clips, lambda n, total: advance(n, total, "")
                    )
                )
    if html:
        describe.write_description(found, html)
        say(f"{html}: written")
    if as_json:
        print_json(found)
        return
    for part in found:
        for title, heads, rows in describe.tables(part):
            print_table(heads, rows, title=title)


@app.command("import-features")
def import_features_(
    files: Annotated[list[Path], typer.Argument(help=".npz files, CSV tables, or folders.")],
    manifest: Annotated[Path, typer.Option(help="The manifest of the clips they are of.")],
    store: Store,
    name: Annotated[str, typer.Option(help="What the feature set is to be called.")],
    key: Annotated[str, typer.Option(help=".npz: which array, e.g. video_features.")] = "",
    labels: Annotated[
        str, typer.Option(help=".npz: what integer labels mean: ravdess, unified or none.")
    ] = "",
    id_: Annotated[str, typer.Option("--id", help="CSV: the column that names the clip.")] = "",
    without: Annotated[
        list[str] | None, typer.Option(help="CSV: a column to leave out; may be given often.")
    ] = None,
    as_is: Annotated[bool, typer.Option(help="Keep frameTime, repeated and empty rows.")] = False,
    matched: Annotated[
        Path | None, typer.Option(help="Write the manifest of the clips that have features.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Take features of other tools into a store. Exit 1 if a file or a clip is left over."""
    from affectus.feature_files import import_features
    from affectus.manifest import Manifest

    table = Manifest.read(manifest)
    with progress("importing") as advance:
        report = import_features(
            files,
            table,
            store,
            name,
            key=key,
            labels=labels,
            id_column=id_,
            without=without or (),
            as_is=as_is,
            on_progress=lambda n, total: advance(n, total, ""),
        )
    if matched:
        done = set(report.done)
        table.filter(lambda clip: clip.clip_id in done).write(matched)
    for note in report.notes:
        say(f"note: {note}")
    _say_some([f"no features: {f.clip_id}: {f.code} {f.reason}" for f in report.failed])
    _say_some([f"no clip of this name: {place}" for place in report.strays])
    _say_some([f"no feature file: {clip_id}" for clip_id in report.without])
    for finding in report.findings:
        say(f"error: {finding}")
    if as_json:
        print_json({**vars(report), "ok": report.ok})
    else:
        print(
            f"{store}: '{name}', {len(report.columns):,} columns: {len(report.done):,} of "
            f"{len(table):,} clips ({report.new:,} now), {len(report.failed):,} failed, "
            f"{len(report.without):,} without a file, {len(report.strays):,} files of no clip"
        )
    return 0 if report.ok else 1


def _say_some(lines: Sequence[str]) -> None:
    for line in lines[:10]:
        say(line)
    if len(lines) > 10:
        say(f"… and {len(lines) - 10:,} more; see them all with --json")


@app.command("export-features")
def export_features_(
    store: Annotated[Path, typer.Argument(help="A store.")],
    manifest: Annotated[Path, typer.Option(help="The manifest of the clips wanted.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The new folder.")],
    features: Annotated[str, typer.Option(help="Which set; the only one by default.")] = "",
    as_json: AsJson = False,
) -> int:
    """Write a store as one .npz a clip, for numpy. No pickle is needed."""
    from affectus.feature_files import export_features
    from affectus.manifest import Manifest
    from affectus.store import FeatureStore

    with FeatureStore(store) as opened:
        report = export_features(opened, Manifest.read(manifest), out, features)
    _say_some([f"no features: {clip_id}" for clip_id in report.missing])
    if as_json:
        print_json(report)
    else:
        print(f"{out}: {report.written:,} clips written, {len(report.missing):,} without features")
    return 1 if report.missing else 0


@app.command()
def doctor(
    store: Annotated[Path, typer.Argument(help="A store.")],
    manifest: Annotated[
        Path | None, typer.Option(help="Make again what is missing of these clips.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Look only, mend nothing.")] = False,
    as_json: AsJson = False,
) -> int:
    """Check every hash of a store, and mend it. Damaged shards are put aside, and made again."""
    from affectus.extraction import Mended, mend_store
    from affectus.manifest import Manifest
    from affectus.store.repair import examine_store

    if check:
        looked = examine_store(store, mend=False)
        mended = Mended(looked, looked)
    else:
        with progress("extracting") as advance:
            mended = mend_store(
                store,
                Manifest.read(manifest) if manifest else None,
                on_progress=lambda name, n, failed, total: advance(n, total, name),
            )
    for name in mended.imported:
        say(f"'{name}' was imported; import it again to make what is missing")
    found, health = mended.found, mended.now
    if as_json:
        print_json({"found": found, "now": health, "ok": health.ok})
    else:
        print(
            f"{store}: {'the index is sound' if found.index_sound else 'the index was damaged'}, "
            f"{found.n_sound:,} shards are sound, {len(found.damaged)} damaged"
        )
        for name in (*found.damaged, *found.strays):
            what = "damaged" if name in found.damaged else "of no feature set"
            print(f"  {name}: {what}" + (", moved to quarantine" if found.mended else ""))
        for name, n_missing in health.missing.items():
            if n_missing:
                print(f"  {name}: {n_missing:,} clips are to be made; run: affectus extract")
        print("The store is sound." if health.ok else "The store is not whole.")
    return 0 if health.ok else 1
