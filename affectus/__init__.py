"""Affectus: emotion recognition in voice and face that one can trust.

    import affectus

    model = affectus.load_model()
    model.predict("clip.wav").emotion

Public names are loaded when first used, so that a prediction never waits for torch.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affectus.adaptation import SpeakerProfile, read_profile, write_profile
    from affectus.audit import audit_manifest
    from affectus.corpora import (
        expected_clips,
        expected_counts,
        list_corpora,
        load_corpus,
    )
    from affectus.describe import describe_features
    from affectus.emotions import EMOTIONS, label_scheme, parse_emotion
    from affectus.errors import AffectusError
    from affectus.evaluation import (
        Evaluation,
        Predictions,
        compare_predictions,
        evaluate_predictions,
    )
    from affectus.experiment import Experiment, read_experiment
    from affectus.export import export_run
    from affectus.extraction import extract_features
    from affectus.feature_files import export_features, import_features
    from affectus.features import create_extractor
    from affectus.fusion import evaluate_fusion, fuse_runs
    from affectus.manifest import Clip, Manifest
    from affectus.media import read_audio
    from affectus.predictor import (
        Prediction,
        Predictor,
        Segment,
        Stream,
        load_model,
        predict_emotion,
    )
    from affectus.report import write_report
    from affectus.runs import open_run
    from affectus.splits import check_split, make_splits
    from affectus.store import FeatureStore
    from affectus.training import cross_runs, evaluate_run, train

__version__ = "0.1.0"

# What we promise: nothing is sent, nothing is kept. onnxruntime from 1.29 on does both on Linux and
# macOS unless this is set before it is loaded (its docs/Privacy.md; pull request 29843).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

_HOME = {
    "adaptation": ("SpeakerProfile", "read_profile", "write_profile"),
    "audit": ("audit_manifest",),
    "corpora": ("expected_clips", "expected_counts", "list_corpora", "load_corpus"),
    "describe": ("describe_features",),
    "emotions": ("EMOTIONS", "label_scheme", "parse_emotion"),
    "errors": ("AffectusError",),
    "evaluation": ("Evaluation", "Predictions", "compare_predictions", "evaluate_predictions"),
    "experiment": ("Experiment", "read_experiment"),
    "export": ("export_run",),
    "extraction": ("extract_features",),
    "feature_files": ("export_features", "import_features"),
    "features": ("create_extractor",),
    "fusion": ("evaluate_fusion", "fuse_runs"),
    "manifest": ("Clip", "Manifest"),
    "media": ("read_audio",),
    "predictor": (
        "Prediction",
        "Predictor",
        "Segment",
        "Stream",
        "load_model",
        "predict_emotion",
    ),
    "report": ("write_report",),
    "runs": ("open_run",),
    "splits": ("check_split", "make_splits"),
    "store": ("FeatureStore",),
    "training": ("cross_runs", "evaluate_run", "train"),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "EMOTIONS", "AffectusError", "Clip", "Evaluation", "Experiment", "FeatureStore", "Manifest",
    "Prediction", "Predictions", "Predictor", "Segment", "SpeakerProfile", "Stream",
    "audit_manifest", "check_split", "compare_predictions", "create_extractor", "cross_runs",
    "describe_features", "evaluate_fusion",
    "evaluate_predictions", "evaluate_run", "expected_clips", "expected_counts", "export_features",
    "export_run", "extract_features", "fuse_runs", "import_features",
    "label_scheme", "list_corpora", "load_corpus", "load_model", "make_splits", "open_run",
    "parse_emotion", "predict_emotion", "read_audio", "read_experiment", "read_profile", "train",
    "write_profile", "write_report",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'affectus' has no attribute '{name}'")
    return getattr(import_module(f"affectus.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
