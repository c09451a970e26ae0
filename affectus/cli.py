"""The command line: every command is a thin skin over one library call of the same verb.

Exit codes: 0 done, 1 findings or failed items, listed, 2 bad input or arguments, 3 too many
failures, 4 a limit was hit, 5 disk or permission, 130 interrupted.

Heavy modules are imported inside the commands that need them, so that `--help` and `predict`
start at once.
"""

from __future__ import annotations

import csv
import errno
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import Abort, TyperException

from affectus.console import print_json, print_table, progress, say
from affectus.errors import AffectusError, CorpusError, DiskError, MediaError, ModelError

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
_EXTRAS = {"torch": "train", "onnx": "train"}


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; an error of ours becomes one line."""
    _set_up_libraries()
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
            "speakers": c.n_speakers,
            "clips": c.n_clips,
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
    for row in rows:
        print_table(("", ""), list(row.items()))
    print("Your own recordings: affectus import table my.csv   (file,emotion,speaker)")
    print("                     affectus import folder DIR     (one sub-folder an emotion)")


@app.command("import")
def import_(
    corpus: Annotated[str, typer.Argument(help="ravdess, table or folder; see: affectus corpora")],
    source: Annotated[Path, typer.Argument(help="The corpus's folder, or the CSV of a table.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="NAME.csv by default.")] = None,
    name: Annotated[str | None, typer.Option(help="The name of your own corpus.")] = None,
    speaker: Annotated[
        str | None, typer.Option(help="folder: an expression with one group, e.g. '(spk[0-9]+)'.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Read a corpus folder, your table or your folders into a manifest."""
    from affectus.corpora import load_corpus

    manifest = load_corpus(corpus, source, corpus_name=name, speaker=speaker)
    path = out or Path(f"{name or (corpus if corpus not in ('table', 'folder') else 'clips')}.csv")
    if path.resolve() == source.resolve():
        raise CorpusError(f"{path}: would overwrite the table it is read from. Choose another -o.")
    manifest.write(path)
    faults = [clip for clip in manifest if clip.fault]
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
                "clips": len(manifest) - len(faults),
                "faults": [{"clip_id": c.clip_id, "fault": c.fault} for c in faults],
                "speakers": len(manifest.speakers),
                "notes": manifest.notes,
            }
        )
    else:
        print(
            f"{path}: {len(manifest) - len(faults):,} clips of {len(manifest.speakers)} speakers"
            + (f", {len(faults)} files not understood" if faults else "")
        )
    return 1 if faults else 0


@app.command()
def audit(manifest: ManifestFile, as_json: AsJson = False) -> int:
    """Check counts, names, labels, balance, and every recording; exit 1 if anything is wrong."""
    from affectus.audit import audit_manifest
    from affectus.corpora import expected_clips
    from affectus.manifest import Manifest

    table = Manifest.read(manifest)
    with progress("listening") as advance:
        report = audit_manifest(
            table, expected_clips(table), on_progress=lambda n, total: advance(n, total, "")
        )
    if as_json:
        print_json({"ok": report.ok, "counts": report.counts, "findings": report.findings})
        return 0 if report.ok else 1
    print_table(
        ("corpus", "clips", "expected", "speakers", "minutes", "by emotion"),
        [
            (
                c.corpus,
                c.present,
                c.expected,
                c.n_speakers,
                f"{c.seconds / 60:.1f}",
                ", ".join(f"{emotion} {n}" for emotion, n in c.emotions.items()),
            )
            for c in report.counts
        ],
    )
    for finding in report.findings:
        print(f"{finding.severity.upper():8}{finding.message}. {finding.remedy}")
    if report.ok:
        print("No error was found.")
    return 0 if report.ok else 1


@app.command()
def split(
    manifest: Annotated[Path | None, typer.Argument(help="A manifest.")] = None,
    protocol: Annotated[str, typer.Option(help="A name of --list.")] = "sequential-5fold",
    out: Annotated[Path, typer.Option("-o", "--out", help="Where to write.")] = Path("split.json"),
    seed: Annotated[int, typer.Option(help="For random protocols.")] = 0,
    list_: Annotated[bool, typer.Option("--list", help="List the protocols and stop.")] = False,
    as_json: AsJson = False,
) -> int:
    """Divide a manifest's clips into train, dev and test by a named protocol."""
    from affectus.manifest import Manifest
    from affectus.splits import check_split, list_protocols, make_splits, write_splits

    if list_:
        rows = [(p.name, p.version, "no" if p.leaky else "yes", p.text) for p in list_protocols()]
        columns = ("protocol", "version", "speaker-independent", "in words")
        if as_json:
            print_json([dict(zip(columns, row, strict=True)) for row in rows])
        else:
            print_table(columns, rows)
        return 0
    if manifest is None:
        raise CorpusError("split: no manifest; expected one. Try: affectus split ravdess.csv")
    table = Manifest.read(manifest)
    splits = make_splits(table, protocol, seed=seed)
    for fold in splits:
        check_split(table, fold)
    write_splits(splits, out)
    sizes = [(s.fold, len(s.train), len(s.dev), len(s.test)) for s in splits]
    if as_json:
        print_json([dict(zip(("fold", "train", "dev", "test"), s, strict=True)) for s in sizes])
    else:
        print_table(("fold", "train", "dev", "test"), sizes, title=f"{out}: {splits[0].text}")
    return 0


@app.command()
def extract(
    manifest: ManifestFile,
    store: Store,
    features: Annotated[str, typer.Option(help="The extractor's name.")] = "logmel",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A parameter, e.g. n_mels=128.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes.")] = 1,
    retry_failed: Annotated[bool, typer.Option(help="Try failed clips again.")] = False,
    max_seconds: Annotated[float, typer.Option(help="Longest clip.")] = 600.0,
    as_json: AsJson = False,
) -> int:
    """Compute features once into a store; run again to go on after an interruption."""
    from affectus.experiment import parse_changes
    from affectus.extraction import extract_features
    from affectus.features import create_extractor
    from affectus.manifest import Manifest
    from affectus.media import Limits

    with progress("extracting") as advance:
        report = extract_features(
            Manifest.read(manifest),
            create_extractor(features, **parse_changes(set_ or [])),
            store,
            workers=workers,
            retry_failed=retry_failed,
            limits=Limits(max_seconds=max_seconds),
            on_progress=lambda n, failed, total: advance(
                n, total, f"{failed} failed" if failed else ""
            ),
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


@app.command()
def status(store: Annotated[Path, typer.Argument(help="A store.")], as_json: AsJson = False) -> int:
    """Say what a store holds, and what failed and why."""
    from affectus.store import FeatureStore

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
        print_json({"counts": counts, "failures": failures, "records": records})
    else:
        states = ("done", "failed", "planned")
        print_table(
            ("features", *states),
            [(name, *(states_of[state] for state in states)) for name, states_of in counts.items()],
        )
        for failure in failures:
            print("failed: {clip_id}: {code} {reason}".format(**failure))
    return 1 if any(c["failed"] or c["planned"] for c in counts.values()) else 0


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
