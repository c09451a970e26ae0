"""Commands on corpora and manifests: corpora, import, audit, split."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from affectus.cli.app import AsJson, ManifestFile, app
from affectus.console import count, print_json, print_table, progress, say
from affectus.errors import CorpusError


@app.command()
def corpora(as_json: AsJson = False) -> None:
    """List the corpora that can be read. With counts, licence, where to get them."""
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
    """Read a corpus, your table or folders into a manifest."""
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
            f"{path}: {count(n_usable, 'clip')} of {count(len(manifest.speakers), 'speaker')}"
            + (f", {count(n_new, 'new row')}" if len(earlier) else "")
            + (f", {count(len(faults), 'file')} not understood" if faults else "")
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
    """Check counts, names, labels, and every recording. Exit 1 if anything is wrong."""
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
    """Divide clips into train, dev and test by a protocol."""
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
