"""What is looked at before the first step: clips, features, splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from affectus.audit import check_completeness
from affectus.batches import Bands, count_face_columns
from affectus.corpora import expected_clips, expected_counts
from affectus.errors import AuditError, ConfigError, StoreError, TrainingError
from affectus.experiment import Experiment, TrainingConfig
from affectus.extraction import count_without_fingerprint
from affectus.face_rows import holds_faces
from affectus.features import create_extractor, describe_extractor, hash_record, read_record
from affectus.features.voice import LogMel
from affectus.features.waveform import Waveform
from affectus.manifest import Manifest, read_exclusions
from affectus.models import is_fitted, list_models, takes_face, takes_voice
from affectus.splits import Split, make_splits, read_splits
from affectus.store import FeatureStore

# What steps along the gradient do, and a fit in one go does not.
_BY_GRADIENT = ("partial_labels", "sampling", "soft_targets", "focal_gamma", "max_norm", "refit")

_FOR_FRAMES = ("band_masks", "frame_masks", "stretch", "speed", "tract", "noise")


def leave_out(manifest: Manifest, experiment: Experiment) -> Manifest:
    """Return the manifest with a fault at each clip that the experiment leaves out."""
    reasons = read_exclusions(experiment.exclude) if experiment.exclude else {}
    return manifest.excluding(reasons)


def tell_left_out(manifest: Manifest, experiment: Experiment) -> list[str]:
    """Return a caution if the experiment leaves clips out."""
    n_clips = sum(clip.fault.startswith("excluded: ") for clip in manifest)
    return [f"{n_clips:,} clips are left out by {experiment.exclude}"] if n_clips else []


def find_missing_clips(manifest: Manifest, allow_incomplete: bool) -> list[str]:
    """Return what is missing of the published corpora, in words; refuse it unless allowed."""
    findings = check_completeness(manifest, expected_clips(manifest), expected_counts(manifest))
    texts = [finding.message for finding in findings]
    if texts and not allow_incomplete:
        raise AuditError(
            f"{'; '.join(texts)}; expected all of it. Complete it, or add --allow-incomplete: "
            f"every report will then say so."
        )
    return texts


def find_uncompared(manifest: Manifest, fingerprints: Mapping[str, bytes]) -> list[str]:
    """Return a caution if copies of some clips could not be looked for."""
    count = count_without_fingerprint(manifest, fingerprints)
    if not count:
        return []
    return [
        f"The sound of {count:,} of {len(manifest):,} clips was not compared with that of others "
        f"(features imported, or extracted before fingerprints were kept): near-identical copies "
        f"on two sides would not be seen."
    ]


def check_features(experiment: Experiment, store: FeatureStore) -> tuple[dict[str, Any], int]:
    """Return what the features come from, for the provenance, and how many columns they have.

    Features of this package must have been made with the experiment's parameters. Imported ones
    have no extractor: their columns and the hash of all their arrays stand for them.
    """
    name = str(experiment.features["name"])
    record = store.record(name) if name in store.features() else {}
    if record.get("kind") != "imported":
        extractor = create_extractor(**experiment.features)
        decoder = str(store.record(name)["decoder"])
        store.define(name, {**describe_extractor(extractor), "decoder": decoder})
        if isinstance(extractor, Waveform):
            _refuse_on_sound(experiment)
            if experiment.model["name"] != "speech_encoder":
                _refuse_gain(experiment)
        elif not hasattr(extractor, "centres"):
            _refuse_gain(experiment)
        origin = {"features": describe_extractor(extractor), "decoder": decoder}
        return origin, len(extractor.columns)
    if others := [key for key in experiment.features if key != "name"]:
        raise ConfigError(
            f"features '{name}' were imported and have no parameter '{others[0]}'; expected a name "
            f"alone. Leave features.{others[0]} out."
        )
    _refuse_gain(experiment)
    facts, n_columns = _imported_facts(store, name)
    return {"features": facts}, n_columns


def check_face(experiment: Experiment, store: FeatureStore) -> tuple[dict[str, Any], int]:
    """Return what the face features come from, for the provenance, and how many columns they have.

    Nothing, and 0, where the experiment looks at no face. Raises ConfigError where the model takes
    none, or the features are not of faces.
    """
    if not experiment.face:
        if experiment.augmentation.modality_dropout:
            raise ConfigError(
                f"augmentation.modality_dropout is {experiment.augmentation.modality_dropout:g}, "
                f"but there is no [face]: one stream cannot be left out of one; expected 0."
            )
        return {}, 0
    name, model = str(experiment.face["name"]), str(experiment.model["name"])
    if not takes_face(model):
        known = ", ".join(one for one in list_models() if takes_face(one))
        raise ConfigError(
            f"model '{model}' looks at no face, but [face] names '{name}'; expected one that does: "
            f"{known}. Choose another, or leave [face] out."
        )
    if experiment.augmentation.modality_dropout and not takes_voice(model):
        raise ConfigError(
            f"augmentation.modality_dropout is "
            f"{experiment.augmentation.modality_dropout:g}, but model '{model}' has one stream; "
            f"expected 0."
        )
    if experiment.augmentation.mixup:
        raise ConfigError(
            f"augmentation.mixup is {experiment.augmentation.mixup:g}, but faces are not mixed; "
            f"expected 0 with a [face]. Leave it out."
        )
    if name not in store.features():
        raise StoreError(
            f"{store.folder}: no features '{name}'; expected those of the face. Run: affectus "
            f"extract {experiment.manifest} --features {name} --store {store.folder}"
        )
    record = store.record(name)
    if record.get("kind") == "imported":
        facts, _ = _imported_facts(store, name)
        return {"face": facts}, count_face_columns(record)
    if not holds_faces(record):
        raise ConfigError(
            f"[face] names '{name}', which are features of the voice; expected face_crops, "
            f"face_embedding or imported ones. Choose another."
        )
    described = describe_extractor(create_extractor(**experiment.face))
    store.define(name, {**described, "decoder": str(record["decoder"])})
    return {"face": described}, count_face_columns(record)


def _imported_facts(store: FeatureStore, name: str) -> tuple[dict[str, Any], int]:
    record = store.record(name)
    columns, frame_rate = read_record(record)
    kept = [(item.key, item.audio_sha256) for item in store.ledger(name) if item.state == "done"]
    return {
        **{key: value for key, value in record.items() if key != "columns"},
        "n_columns": len(columns),
        "frame_rate": frame_rate,
        "sha256": hash_record(dict(kept)),
    }, len(columns)


def _refuse_on_sound(experiment: Experiment) -> None:
    """Refuse what is done to frames of a spectrogram where every frame is a sample of sound."""
    config = experiment.augmentation
    asked = [key for key in _FOR_FRAMES if getattr(config, key)]
    if not asked:
        return
    off = {key: "[]" if key == "noise" else "0" for key in asked}
    raise ConfigError(
        f"augmentation.{', '.join(asked)}: for frames of a spectrogram, but features "
        f"'{experiment.features['name']}' are sound; expected gain_db and mixup alone. Add "
        f"{' '.join(f'--set augmentation.{key}={value}' for key, value in off.items())}"
    )


def _refuse_gain(experiment: Experiment) -> None:
    if experiment.augmentation.gain_db:
        raise ConfigError(
            f"augmentation.gain_db is {experiment.augmentation.gain_db:g}, but the features "
            f"'{experiment.features['name']}' are not in dB; expected 0. Add --set "
            f"augmentation.gain_db=0"
        )


def check_training(experiment: Experiment) -> None:
    """Refuse (ConfigError) what a model that is fitted in one go would leave out."""
    name = str(experiment.model["name"])
    if not is_fitted(name):
        return
    plain = TrainingConfig()
    for key in _BY_GRADIENT:
        if getattr(experiment.training, key) != getattr(plain, key):
            raise ConfigError(
                f"training.{key} is {getattr(experiment.training, key)}, but model '{name}' is "
                f"fitted in one go, without it; expected the default. Leave training.{key} out."
            )


def check_labels(manifest: Manifest, experiment: Experiment, splits: Sequence[Split]) -> None:
    """Refuse a label that a fold has no training clip of, where each label counts the same."""
    if not (experiment.training.class_weights or is_fitted(str(experiment.model["name"]))):
        return
    scheme = experiment.scheme
    labels = {clip.clip_id: scheme.label(clip.emotion) for clip in manifest}
    for split in splits:
        there = {labels.get(clip_id) for clip_id in split.train}
        missing = [label for label in scheme.labels if label not in there]
        if missing:
            left = "+".join(label for label in scheme.labels if label in there)
            take = f"Take those that there are: --set labels.scheme={left}"
            raise TrainingError(
                f"{split.fold}: no training clip is {' or '.join(missing)}; expected some of each "
                f"label of scheme '{scheme.name}'. "
                f"{take if '+' in left else 'Choose another scheme or protocol.'}"
            )


def find_bands(experiment: Experiment, store: FeatureStore) -> Bands | None:
    """Return the mel bands of the features; None where they are none."""
    if store.record(str(experiment.features["name"])).get("kind") == "imported":
        return None
    extractor = create_extractor(**experiment.features)
    return (
        Bands(extractor.centres, extractor.sample_rate / extractor.n_fft)
        if isinstance(extractor, LogMel)
        else None
    )


def choose_splits(manifest: Manifest, experiment: Experiment) -> tuple[Split, ...]:
    """Return the folds that the experiment asks for."""
    config = experiment.split
    if config.file:
        splits = read_splits(config.file)
    else:
        splits = make_splits(manifest, config.protocol, seed=config.seed)
    for number in config.folds:
        if not 1 <= number <= len(splits):
            raise ConfigError(f"split.folds has {number}; expected 1 to {len(splits)}.")
    chosen = [splits[number - 1] for number in config.folds] or list(splits)
    return tuple(chosen)
