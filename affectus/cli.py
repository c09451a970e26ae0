"""The command line: every command is a thin skin over one library call of the same verb.

Exit codes: 0 done, 1 findings or failed items, listed, 2 bad input or arguments, 3 too many
failures, 4 a limit was hit, 5 disk or permission, 130 interrupted, 143 ended by SIGTERM.

Heavy modules are imported inside the commands that need them, so that `--help` and `predict`
start at once.
"""

from __future__ import annotations

import csv
import errno
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from typer.exceptions import Abort, TyperException

from affectus.console import print_json, print_table, progress, say
from affectus.errors import (
    AffectusError,
    CorpusError,
    DiskError,
    MediaError,
    ModelError,
    nearest,
)

if TYPE_CHECKING:
    from affectus.manifest import Manifest

app = typer.Typer(
    name="affectus",
    help="Emotion recognition in voice and face that one can trust.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
ManifestFile = Annotated[Path, typer.Argument(help="A manifest, as 'affectus import' writes it.")]
Store = Annotated[Path, typer.Option("--store", help="The folder of the feature store.")]


_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
# What the commands beyond prediction need, and the extra that brings it.
_EXTRAS = {"torch": "train", "onnx": "train", "ray": "ray", "opensmile": "opensmile"}


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; an error of ours becomes one line."""
    _set_up_libraries()
    if threading.current_thread() is threading.main_thread():  # no other may
        signal.signal(signal.SIGTERM, _stop)
    try:
        code = app(list(arguments), standalone_mode=False)
    except AffectusError as error:
        say(str(error))
        return error.exit_code
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        extra = _EXTRAS[error.name]
        say(
            f"affectus {arguments[0]}: {error.name} is not installed; expected the extra "
            f"'{extra}'. Install it: pip install 'affectus[{extra}]'"
        )
        return 2
    except _Terminated:
        say("ended by SIGTERM; what was finished is kept: run the command again to go on")
        return 143
    except (KeyboardInterrupt, Abort):
        code = 130
    except BrokenPipeError:  # the reader of our output has gone: `affectus … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in _DISK:
            raise
        place = error.filename or "output"
        refusal = DiskError(f"{place}: {error.strerror}; expected a place to write.")
        say(str(refusal))
        return refusal.exit_code
    except TyperException as error:
        usage: Any = error
        usage.show()
        return int(usage.exit_code)
    if code == 130:  # the parser turns an interruption into this code, too
        say("interrupted; what was finished is kept: run the command again to go on")
    return code if isinstance(code, int) else 0


class _Terminated(BaseException):
    """SIGTERM was sent: leave through every `finally`, so that no child and no file is left."""


def _stop(number: int, frame: object) -> None:
    raise _Terminated


def _set_up_libraries() -> None:
    """Set what numpy and torch read when they load; what the user has set stays.

    Threads that wait for each other spin. On an idle machine that is a third faster; where other
    processes want the processors it is seven times slower, so there they sleep.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # our products are small
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # the exporter's notes to itself
    if os.getloadavg()[0] > 0.5 * (os.cpu_count() or 1):
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@app.command()
def corpora(as_json: AsJson = False) -> None:
    """List the corpora that can be read: counts, licence, where to get them."""
    from affectus.corpora import list_corpora

    rows = [
        {
            "name": c.name,
            "title": c.title,
            "language": c.language,
            "speakers": c.n_speakers,
            "clips": c.n_clips,
            "parts": ", ".join(part for row in c.parts for part in row),
            "licence": c.licence,
            "from": c.url,
            "files": c.layout,
            "cite": c.citation,
        }
        for c in list_corpora()
    ]
    if as_json:
        print_json(rows)
        return
    columns = ("name", "clips", "speakers", "language", "parts", "licence")
    print_table(columns, [tuple(row[column] for column in columns) for row in rows])
    for row in rows:
        print("{name}: {cite} From: {from}. It holds {files}.".format(**row))
    print("Renamed by hand:     affectus import renamed DIR    (to RAVDESS's names; say --name)")
    print("Your own recordings: affectus import table my.csv   (file,emotion,speaker)")
    print("                     affectus import folder DIR     (one sub-folder an emotion)")


@app.command("import")
def import_(
    corpus: Annotated[str, typer.Argument(help="One of 'affectus corpora', table or folder.")],
    source: Annotated[Path, typer.Argument(help="The corpus's folder, or the CSV of a table.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="NAME.csv by default.")] = None,
    name: Annotated[str | None, typer.Option(help="The name of your own corpus.")] = None,
    speaker: Annotated[
        str | None, typer.Option(help="Finds who speaks in a path; one group: '(spk[0-9]+)'.")
    ] = None,
    map_: Annotated[
        list[str] | None, typer.Option("--map", help="What a label means: exc=happy; repeatable.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Where a table's paths begin.")] = None,
    append: Annotated[bool, typer.Option(help="Add to the manifest -o, if there is one.")] = False,
    parts: Annotated[str | None, typer.Option(help="Of a corpus: speech, or wav,video.")] = None,
    label: Annotated[
        str, typer.Option(help="intended, or perceived: what most raters chose (cremad).")
    ] = "intended",
    raters: Annotated[
        str | None, typer.Option(help="Whose votes: voice, face or both (cremad).")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Read a corpus folder, your table or your folders into a manifest."""
    from affectus.corpora import load_corpus
    from affectus.corpora.joining import append_clips
    from affectus.corpora.labels import parse_spellings
    from affectus.manifest import Manifest

    path = out or Path(f"{name or (corpus if corpus not in ('table', 'folder') else 'clips')}.csv")
    if path.resolve() == source.resolve():
        raise CorpusError(f"{path}: would overwrite the table it is read from. Choose another -o.")
    earlier = Manifest.read(path) if append and path.exists() else Manifest(())
    with progress("hashing") as advance:
        imported = load_corpus(
            corpus,
            source,
            corpus_name=name,
            speaker=speaker,
            spellings=parse_spellings(map_ or []),
            root=root,
            on_progress=lambda n, total: advance(n, total, ""),
            parts=parts.split(",") if parts else None,
            label=label,
            raters=raters,
        )
    manifest = append_clips(earlier, imported, path)
    manifest.write(path)
    faults = [clip for clip in imported if clip.fault]
    n_usable = sum(not clip.fault for clip in manifest)
    n_new = len(manifest) - len(earlier)
    for note in manifest.notes:
        say(f"note: {note}")
    for clip in faults[:10]:
        say(f"not understood: {clip.clip_id}: {clip.fault}")
    if len(faults) > 10:
        say(f"… and {len(faults) - 10} more; see them all with: affectus audit {path}")
    if as_json:
        print_json(
            {
                "manifest": str(path),
                "clips": n_usable,
                "new": n_new,
                "faults": [{"clip_id": c.clip_id, "fault": c.fault} for c in faults],
                "speakers": len(manifest.speakers),
                "notes": manifest.notes,
            }
        )
    else:
        print(
            f"{path}: {n_usable:,} clips of {len(manifest.speakers)} speakers"
            + (f", {n_new:,} rows are new" if len(earlier) else "")
            + (f", {len(faults)} files not understood" if faults else "")
        )
    return 1 if faults else 0


@app.command()
def audit(
    manifest: ManifestFile,
    store: Annotated[
        Path | None, typer.Option(help="A feature store whose arrays are looked at, too.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with pictures.")] = None,
    exclusions: Annotated[
        Path | None,
        typer.Option(help="Write the clips that are better left out, and why, as a CSV."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, max=256, help="Processes; one a core by default.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Check counts, names, labels, balance, and every recording; exit 1 if anything is wrong."""
    from contextlib import nullcontext

    from affectus.audit import audit_manifest, print_report, write_audit
    from affectus.corpora import expected_clips, expected_counts
    from affectus.manifest import Manifest, write_exclusions
    from affectus.store import FeatureStore

    table = Manifest.read(manifest)
    with FeatureStore(store) if store else nullcontext() as opened, progress("hearing") as advance:
        report = audit_manifest(
            table,
            expected_clips(table),
            n_expected=expected_counts(table),
            store=opened,
            shapes=_feature_shapes(opened) if opened else {},
            workers=len(os.sched_getaffinity(0)) if workers is None else workers,
            on_progress=lambda n, total: advance(n, total, ""),
        )
    left_out = report.exclusions()
    if exclusions:
        write_exclusions(left_out, exclusions)
    if html:
        write_audit(report, html, manifest.name)
    if as_json:
        print_json({"ok": report.ok, **msgspec.structs.asdict(report), "exclusions": left_out})
        return 0 if report.ok else 1
    print_report(report)
    for path in (html, exclusions):
        if path:
            print(path)
    return 0 if report.ok else 1


def _feature_shapes(store: Any) -> dict[str, Any]:
    """Return what the features of a store should look like, where their extractor is known."""
    from affectus.audit import FeatureShape
    from affectus.errors import ConfigError
    from affectus.features import read_record

    shapes = {}
    for name in store.features():
        record = store.record(name)
        try:
            columns, frame_rate = read_record(record)
        except ConfigError:  # of another version
            continue
        shapes[name] = FeatureShape(columns, frame_rate, record.get("trim_db") is not None)
    return shapes


@app.command()
def split(
    manifest: Annotated[Path | None, typer.Argument(help="A manifest.")] = None,
    protocol: Annotated[str, typer.Option(help="A name of --list.")] = "sequential-5fold",
    out: Annotated[Path, typer.Option("-o", "--out", help="Where to write.")] = Path("split.json"),
    seed: Annotated[int, typer.Option(help="For random protocols.")] = 0,
    exclude: Annotated[
        Path | None,
        typer.Option(help="A CSV clip_id,reason of clips on no side; as the experiment's."),
    ] = None,
    allow_leak: Annotated[
        bool, typer.Option(help="Although sides share something; the split is stamped.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the protocols and stop.")] = False,
    as_json: AsJson = False,
) -> int:
    """Divide a manifest's clips into train, dev and test by a named protocol."""
    from affectus.manifest import Manifest, read_exclusions
    from affectus.splits import check_split, make_splits, stamp_leaks, write_splits

    if list_:
        _list_protocols(as_json)
        return 0
    if manifest is None:
        raise CorpusError("split: no manifest; expected one. Try: affectus split ravdess.csv")
    table = Manifest.read(manifest)
    if exclude:
        table = table.excluding(read_exclusions(exclude))
    splits = [
        stamp_leaks(fold, check_split(table, fold, allow_leak=allow_leak))
        for fold in make_splits(table, protocol, seed=seed)
    ]
    write_splits(splits, out)
    sizes = [(s.fold, len(s.train), len(s.dev), len(s.test)) for s in splits]
    if as_json:
        print_json([dict(zip(("fold", "train", "dev", "test"), s, strict=True)) for s in sizes])
    else:
        print_table(("fold", "train", "dev", "test"), sizes, title=f"{out}: {splits[0].text}")
    return 0


def _list_protocols(as_json: bool) -> None:
    from affectus.splits import list_protocols

    rows = [
        {
            "protocol": p.name,
            "version": p.version,
            "corpus": p.corpus or "any",
            "folds": p.n_folds,
            "speaker-independent": p.apart,
            "known as": p.known_as,
            "in words": p.text,
        }
        for p in list_protocols()
    ]
    if as_json:
        print_json(rows)
        return
    columns = ("protocol", "corpus", "folds", "speaker-independent", "known as")
    print_table(columns, [[row[column] for column in columns] for row in rows])
    for row in rows:
        print(f"{row['protocol']} (version {row['version']}): {row['in words']}.")


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
    """Compute features once into a store; run again to go on after an interruption."""
    from affectus.experiment import parse_changes
    from affectus.extraction import extract_features
    from affectus.features import create_extractor
    from affectus.manifest import Manifest
    from affectus.media import Limits

    parameters = parse_changes(set_ or [])
    if model is not None:
        parameters["model"] = str(model)
    note = ""
    with progress("extracting") as advance:

        def tell(finished: int, failed: int, total: int) -> None:
            nonlocal note
            note = f"{failed:,} failed" if failed else ""
            if cluster or finished == total:
                advance(finished, total, note)

        report = extract_features(
            _only(Manifest.read(manifest), only or []),
            create_extractor(features, **parameters),
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
    known = {clip.clip_id for clip in manifest}
    for clip_id in clip_ids:
        if clip_id not in known:
            raise CorpusError(
                f"--only {clip_id}: no such clip in the manifest; expected an id of its column "
                f"clip_id.{nearest(clip_id, known)}"
            )
    return manifest.filter(lambda clip: clip.clip_id in clip_ids) if clip_ids else manifest


@app.command()
def status(store: Annotated[Path, typer.Argument(help="A store.")], as_json: AsJson = False) -> int:
    """Say what a store holds, what failed and why, and how far a run is, from any machine."""
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
    as_json: AsJson = False,
) -> None:
    """Say what stores and manifests hold: lengths, ranges, percentiles, zeros, by corpus."""
    from affectus import describe
    from affectus.manifest import Manifest, join_manifests
    from affectus.store import FeatureStore

    tables = {path: Manifest.read(path) for path in places if not path.is_dir()}
    found: list[Any] = [describe.describe_manifest(t, path.name) for path, t in tables.items()]
    clips = join_manifests(tables.values()) if tables else None
    for folder in (path for path in places if path.is_dir()):
        with FeatureStore(folder) as store, progress("counting") as advance:
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
    """Take features of other tools into a store; exit 1 if a file or a clip is left over."""
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
    """Write one .npz a clip, and an index, that numpy opens without pickle."""
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
    """Check every hash of a store; mend the index, put damaged shards aside, make them again."""
    from affectus.extraction import extract_features
    from affectus.features import restore_extractor
    from affectus.manifest import Manifest
    from affectus.store import FeatureStore
    from affectus.store.repair import examine_store

    health = found = examine_store(store, mend=not check)
    if manifest is not None and not check:
        for name in [name for name, n in found.missing.items() if n]:
            with FeatureStore(store) as opened:
                record = opened.record(name)
            if record.pop("decoder", None) is None:
                say(f"'{name}' was imported; import it again to make what is missing")
                continue
            with progress(f"extracting {name}") as advance:
                extract_features(
                    Manifest.read(manifest),
                    restore_extractor(record),
                    store,
                    on_progress=lambda n, failed, total: advance(n, total, ""),
                )
        health = examine_store(store)
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


@app.command()
def train(
    experiment: Annotated[Path, typer.Argument(help="A TOML file; see experiments/.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value: training.epochs=5.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where runs go.")] = Path("runs"),
    resume: Annotated[bool, typer.Option(help="Keep finished folds of the same run.")] = False,
    allow_incomplete: Annotated[bool, typer.Option(help="Although clips are missing.")] = False,
    allow_leak: Annotated[bool, typer.Option(help="Although the split shares speakers.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train every fold of an experiment; the test side stays closed."""
    from affectus import training
    from affectus.experiment import read_experiment

    config = read_experiment(experiment, set_ or [])
    with progress("training") as advance:
        trained = training.train(
            config,
            runs,
            resume=resume,
            allow_incomplete=allow_incomplete,
            allow_leak=allow_leak,
            on_epoch=lambda e, done, total: advance(
                done, total, f"{e.fold} epoch {e.epoch} loss {e.loss:.3f} dev UAR {e.dev_uar:.3f}"
            ),
        )
    if as_json:
        print_json({"run": str(trained.folder), "folds": [s.fold for s in trained.splits]})
    else:
        print(f"{trained.folder}: {len(trained.splits)} folds. Next: affectus evaluate "
              f"{trained.folder}")  # fmt: skip


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    on: Annotated[str, typer.Option(help="dev, or test: the one command that opens it.")] = "dev",
    as_json: AsJson = False,
) -> None:
    """Judge a run: scores with intervals by speaker, and an HTML report."""
    from affectus.errors import EvaluationError
    from affectus.report import write_report
    from affectus.runs import open_run, read_history, write_json
    from affectus.training import evaluate_run

    if on not in ("dev", "test"):
        raise EvaluationError(f"--on {on}: no such side; expected dev or test.")
    opened = open_run(run)
    found = evaluate_run(opened, on)
    write_json(found, run / f"evaluation_{on}.json")
    page = run / f"report_{on}.html"
    write_report(found, page, [epoch._asdict() for epoch in read_history(opened)])
    if as_json:
        print_json(found)
        return
    print_table(
        ("score", "value [95 % by speaker]"),
        [
            ("UAR", str(found.uar)),
            ("WAR", str(found.war)),
            ("macro F1", str(found.macro_f1)),
            ("chance UAR", f"{found.chance:.3f}"),
            ("calibration error", f"{found.ece:.3f}"),
        ],
        title=f"{found.name}, {on}: {found.n_answered:,} of {found.n_planned:,} clips, "
        f"{found.n_speakers} speakers",
    )
    print_table(
        ("label", "clips", "recall", "precision", "F1"),
        [(c.label, c.n, c.recall, c.precision, c.f1) for c in found.classes],
    )
    print(f"Scheme: {found.scheme}.")
    print(f"Protocol {found.protocol['name']}: {found.protocol['text']}.")
    for caution in found.cautions:
        print(f"Caution: {caution}")
    print(f"Report: {page}")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The new model folder.")],
    fold: Annotated[int, typer.Option(help="Whose weights.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Write a model folder that predicts without torch, checked equal to the trained network."""
    from affectus.export import export_run
    from affectus.runs import open_run

    difference = export_run(open_run(run), out, fold=fold)
    if as_json:
        print_json({"model": str(out), "largest_difference": difference})
    else:
        print(f"{out}: equal to the trained network within {difference:.1g}")


@app.command()
def predict(
    files: Annotated[list[Path], typer.Argument(help="Recordings, or folders of them.")],
    model: Annotated[Path, typer.Option("--model", help="A model folder.")],
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on standard output.")] = False,
    window: Annotated[float | None, typer.Option(help="Cut into stretches, seconds.")] = None,
    hop: Annotated[float | None, typer.Option(help="A stretch begins each, seconds.")] = None,
    max_seconds: Annotated[float, typer.Option(help="Longest recording.")] = 600.0,
) -> int:
    """Say which emotion recordings express; what cannot be answered is named, and exit is 1."""
    from affectus.media import Limits
    from affectus.predictor import load_model

    if as_json and as_csv:
        raise ModelError("predict: --json and --csv together; expected one of them.")
    predictor = load_model(model)
    recordings = [file for path in files for file in _recordings(path)]
    answers, errors = [], []
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if as_csv:
        writer.writerow(("file", "start", "end", "emotion", *predictor.labels))
    for file in recordings:
        try:
            answer = predictor.predict(
                file, window=window, hop=hop, limits=Limits(max_seconds=max_seconds)
            )
        except MediaError as error:
            say(str(error))
            errors.append(error)
            continue
        if as_json:
            answers.append(answer)
        elif as_csv:
            writer.writerows(_csv_rows(answer, predictor.labels))
        else:
            _print_answer(answer)
    if as_json:
        failures = [{"file": e.name, "code": e.code, "error": e.text} for e in errors]
        print_json({"predictions": answers, "failed": failures})
    if errors and len(recordings) == 1:
        return errors[0].exit_code
    return 1 if errors else 0


def _recordings(path: Path) -> list[Path]:
    """Return a file itself, or the recordings in a folder."""
    if not path.is_dir():
        return [path]
    from affectus.media import list_media

    found = list_media(path)
    if not found:
        raise CorpusError(f"{path}: no recordings in it; expected some. Give files.")
    return found


def _csv_rows(answer: Any, labels: Sequence[str]) -> list[list[object]]:
    rows = answer.segments or [answer]
    return [
        [
            answer.file,
            getattr(row, "start", ""),
            getattr(row, "end", ""),
            row.emotion or "",
            *(row.scores.get(label, "") for label in labels),
        ]
        for row in rows
    ]


def _print_answer(answer: Any) -> None:
    print(f"{answer.file}: {answer.emotion or 'no answer'}")
    for label, score in sorted(answer.scores.items(), key=lambda item: -item[1]):
        print(f"  {label:10} {score:6.1%} {'█' * round(score * 30)}")
    if len(answer.segments) > 1:
        for part in answer.segments:
            print(f"  {part.start:8.2f} – {part.end:8.2f} s  {part.emotion}")
    for warning in answer.warnings:
        print(f"  warning {warning}")


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where everything is written.")] = Path("demo"),
) -> None:
    """Run the whole chain on a synthetic corpus, in about a minute."""
    from affectus.demo import run_demo

    run_demo(folder)
