"""Runs on corpora, each asked about the others' test clips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from affectus import models
from affectus.batches import Examples
from affectus.errors import EvaluationError, SplitError
from affectus.evaluation import CrossMatrix, CrossTrained, Predictions, cross_predictions
from affectus.extraction import near_pairs, sound_hashes
from affectus.manifest import Manifest, join_manifests
from affectus.runs import Run, check_weights, read_provenance
from affectus.splits import Split, check_split
from affectus.store import FeatureStore
from affectus.training.heard import check_encoder
from affectus.training.judging import adapt_examples, predict, predict_side, read_clips
from affectus.training.sides import read_examples

_SAME = ("store", "features", "face")  # of an experiment, in all runs


def cross_runs(
    runs: Sequence[Run], *, adapted: bool = False, allow_leak: bool = False
) -> CrossMatrix:
    """Ask the models of each run about the test clips of every other, and judge the answers.

    Each run is on corpora of its own; store and features are the same in all, and so is what calm
    counts as. The diagonal is each run's own test side. All of a run's folds answer every clip of
    another corpus, which none of them has heard: that is checked as at training, and refused
    (SplitError, AuditError) where a speaker, a recording, its copy or an encoder was, unless a leak
    is allowed.
    """
    _expect_alike(runs)
    manifests = [_read_manifest(run) for run in runs]
    names = _name_corpora(runs, manifests)
    leaks = _find_leaks(runs, names, manifests, allow_leak=allow_leak)
    answers: dict[tuple[str, str], list[Predictions]] = {}
    with FeatureStore(runs[0].experiment.store) as store:
        for tested, other in zip(names, runs, strict=True):
            clips = read_clips(other)
            wanted = [clips[name] for split in other.splits for name in split.test]
            for trained, run in zip(names, runs, strict=True):
                if trained == tested:
                    answers[tested, tested] = [predict_side(run, "test", adapted=adapted)]
                else:
                    examples = read_examples(run.experiment, wanted, store)
                    answers[trained, tested] = list(_ask(run, examples, adapted=adapted))
    facts = {name: read_provenance(run) for name, run in zip(names, runs, strict=True)}
    rows = [
        CrossTrained(
            corpus=name,
            run=run.experiment.name,
            model=str(run.experiment.model["name"]),
            features=str(run.experiment.features["name"]),
            scheme=run.experiment.scheme.describe(),
            protocol=run.splits[0].protocol,
            leaky=any(split.leaky for split in run.splits),
            cautions=list(dict.fromkeys(text for fold in facts[name] for text in fold["cautions"])),
        )
        for name, run in zip(names, runs, strict=True)
    ]
    return cross_predictions(
        rows,
        answers,
        {name: _taught(found) for name, found in facts.items()},
        adapted=adapted,
        leaks=leaks,
    )


def _ask(run: Run, examples: Examples, *, adapted: bool) -> Iterator[Predictions]:
    """Yield what each fold's network of a run, of all its seeds, says of clips."""
    for member in run.members or (run,):
        for split in member.splits:
            network, _ = models.load(check_weights(member, split))
            heard = adapt_examples(examples, network) if adapted else examples
            labels = run.experiment.scheme.labels
            yield predict(network, heard, labels, f"{member.folder.name} {split.fold}")


def _expect_alike(runs: Sequence[Run]) -> None:
    """Refuse runs whose features or labels do not mean the same."""
    first = runs[0]
    for run in runs[1:]:
        for key in _SAME:
            found, expected = getattr(run.experiment, key), getattr(first.experiment, key)
            if found != expected:
                raise EvaluationError(
                    f"{run.folder}: {key} {found}; expected that of {first.folder}: {expected}. "
                    f"Extract all corpora into one store, and train on it."
                )
        calm = [of.experiment.scheme.label("calm") for of in (run, first)]
        if len({*calm} - {None}) > 1:
            raise EvaluationError(
                f"{run.folder}: calm counts as {calm[0]}; in {first.folder} as {calm[1]}. Expected "
                f"one meaning of neutral. Train with schemes that agree on calm."
            )


def _read_manifest(run: Run) -> Manifest:
    return Manifest(tuple(read_clips(run).values()))


def _name_corpora(runs: Sequence[Run], manifests: Sequence[Manifest]) -> list[str]:
    """Return what each run was trained on; refuse a corpus that two runs have."""
    of: dict[str, Run] = {}
    for run, manifest in zip(runs, manifests, strict=True):
        for corpus in manifest.corpora:
            if corpus in of:
                raise EvaluationError(
                    f"{of[corpus].folder} and {run.folder}: both on {corpus}; expected each corpus "
                    f"in one run. Train one run on each corpus's own manifest."
                )
            of[corpus] = run
    return ["+".join(manifest.corpora) for manifest in manifests]


def _find_leaks(
    runs: Sequence[Run],
    names: Sequence[str],
    manifests: Sequence[Manifest],
    *,
    allow_leak: bool,
) -> dict[tuple[str, str], list[str]]:
    """Return what each run had heard of each other's test side; refuse it unless allowed."""
    found: dict[tuple[str, str], list[str]] = {}
    everything = join_manifests(manifests)
    experiment = runs[0].experiment
    features = str(experiment.features["name"])
    with FeatureStore(experiment.store) as store:
        imported = store.record(features).get("kind") == "imported"
        audio = sound_hashes(everything, store, features)
        near = near_pairs(everything, store, features, store.fingerprints(features), audio)
    for trained, run in zip(names, runs, strict=True):
        for tested, other, manifest in zip(names, runs, manifests, strict=True):
            if trained == tested:
                continue
            test = tuple(name for split in other.splits for name in split.test)
            texts, known = check_encoder(
                run.experiment, manifest, imported=imported, allow_leak=allow_leak
            )
            leaks = list(texts) if known else []
            for split in run.splits:
                across = replace(split, test=test, manifest_sha256=everything.sha256)
                leaks += _check(across, everything, audio, near, names=(trained, tested),
                                allow_leak=allow_leak)  # fmt: skip
            found[trained, tested] = list(dict.fromkeys(leaks))
    return found


def _check(
    split: Split,
    manifest: Manifest,
    audio: Mapping[str, str],
    near: Sequence[tuple[str, str]],
    *,
    names: tuple[str, str],
    allow_leak: bool,
) -> list[str]:
    """Return what training and the other corpus's test side share; refuse it unless allowed."""
    everything = check_split(
        manifest, replace(split, leaky=True), audio=audio, near=near, allow_leak=True
    )
    # What train and dev share was judged when the run was trained.
    leaks = [text for text in everything if not text.endswith("in both train and dev")]
    if leaks and not allow_leak:
        raise SplitError(
            f"{names[0]} ({split.fold}) to {names[1]}: {'; '.join(leaks)}; expected corpora that "
            f"share nothing. Leave those clips out, or add --allow-leak: the page will say so."
        )
    return leaks


def _taught(folds: Sequence[Mapping[str, Mapping[str, Sequence[str]]]]) -> list[str]:
    """Return the labels that training clips had in every fold of a run."""
    each = [{label for labels in fold["label_sets"].values() for label in labels} for fold in folds]
    return sorted(set.intersection(*each))
