"""The tables of an experiment: what each key means, its default and its bounds."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from affectus.emotions import CalmPolicy, SurprisedPolicy

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Decibels = Annotated[float, Meta(ge=-100, le=100)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class LabelConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which labels the model answers with; see affectus.emotions."""

    scheme: str = "eight"
    calm: CalmPolicy | None = None
    surprised: SurprisedPolicy | None = None


class SplitConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A named protocol, or a file of splits; `folds` picks some (1 is the first), all if empty."""

    protocol: str = "sequential-5fold"
    file: str = ""
    folds: tuple[int, ...] = ()
    seed: Seed = 0


class TrainingConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How the weights are found; docs/training.md says what the keys do together.

    `average` is the decay of the running average of weights that is judged and kept (0: none). The
    best epoch has the highest dev UAR, averaged over it and the `smooth` - 1 before: with a hundred
    dev clips, one epoch's is luck. `patience` epochs without a better one end it. `precision` is
    bf16, fp16 (whose gradients are scaled) or float32; dev and test are always judged in float32.
    `device` auto is CUDA where there is one, else the CPU.

    `optimiser` has `momentum` and `nesterov` where it is sgd. `weight_decay` is decoupled in adamw
    (Loshchilov and Hutter 2019); in adam and sgd it is an L2 penalty of half of it times the square
    of each weight. `max_norm` is the longest that the weights into one unit may be (0: any).

    `schedule` is one of four, never two: the rate rises over the `warmup` share of all steps, then
    falls as half a cosine (cosine), stays (constant), is multiplied by `plateau_factor` whenever
    more than `plateau_patience` epochs had no better smoothed dev UAR (plateau), or rises and falls
    as Smith's one cycle does (one_cycle).

    `focal_gamma` turns attention to clips that are answered wrong (0: to all alike). `sampling`
    draws as many clips of each class, corpus, or class of a corpus, the few again and again;
    `class_weights` then even out what is left. `soft_targets` is the share of a clip's target that
    its raters' votes decide.

    `partial_labels`: where corpora have different labels, a training clip is compared with those
    of its corpus alone. So a corpus without surprise does not teach that nobody in it is surprised.

    `refit`: once dev has chosen the epoch, a fresh network learns from train and dev together, from
    the same seed, to that epoch of the same schedule, and is what is kept. Scores on dev, and the
    temperature, stay those of the first training, which did not hear dev.

    `tensorboard` also writes each fold's curves into its folder, for TensorBoard.
    """

    epochs: Annotated[int, Meta(ge=1, le=100_000)] = 45
    batch_size: Annotated[int, Meta(ge=2, le=65_536)] = 32
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    momentum: Annotated[float, Meta(ge=0, lt=1)] = 0.9
    nesterov: bool = False
    learning_rate: Positive = 2e-3
    weight_decay: Annotated[float, Meta(ge=0)] = 1e-2
    max_norm: Annotated[float, Meta(ge=0)] = 0.0
    schedule: Literal["cosine", "constant", "plateau", "one_cycle"] = "cosine"
    warmup: Share = 0.1
    plateau_factor: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    plateau_patience: Annotated[int, Meta(ge=1)] = 5
    clip_norm: Positive = 5.0
    label_smoothing: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    focal_gamma: Annotated[float, Meta(ge=0)] = 0.0
    class_weights: bool = True
    sampling: Literal["none", "class", "corpus", "corpus-class"] = "none"
    soft_targets: Share = 0.0
    partial_labels: bool = False
    average: Annotated[float, Meta(ge=0, lt=1)] = 0.99
    smooth: Annotated[int, Meta(ge=1)] = 5
    patience: Annotated[int, Meta(ge=1)] = 20
    refit: bool = False
    precision: Literal["bf16", "fp16", "float32"] = "bf16"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    tensorboard: bool = False
    seed: Seed = 0


class AugmentationConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is done to training frames, anew each time a clip is drawn; 0 turns a part off.

    SpecAugment (Park et al. 2019): `band_masks` of up to `band_width` bands, `frame_masks` of up to
    `frame_width` frames. `stretch`: tempo up to that share faster or slower. `speed`: played up to
    that share faster or slower, which moves tempo, pitch and formants together, as if another
    person spoke (Ko et al. 2015, "Audio Augmentation for Speech Recognition"). `tract`: formants
    and pitch alone up to that share higher or lower (vocal-tract length perturbation, Jaitly and
    Hinton 2013). `gain_db`: level up to that much louder or quieter. `mixup`: the parameter of the
    Beta distribution that two clips are mixed by (Zhang et al. 2018).

    `noise`: kinds of noise, one of which a `noise_share` of the clips gets each time, at a
    signal-to-noise ratio between the two of `noise_snr` in dB; see affectus.batches.noise.

    `modality_dropout`: that share of the clips with voice and face is shown without one of the two,
    either as often, so that the model can be asked for one stream alone.

    `speed`, `tract` and `noise` are done on mel bands, whose centres must be known: log-mel
    features only.
    """

    band_masks: Count = 2
    band_width: Count = 6
    frame_masks: Count = 2
    frame_width: Count = 12
    stretch: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    speed: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    tract: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    noise: tuple[Literal["white", "pink", "babble"], ...] = ()
    noise_snr: tuple[Decibels, Decibels] = (5.0, 30.0)
    noise_share: Share = 0.5
    gain_db: Annotated[float, Meta(ge=0)] = 1.5
    mixup: Annotated[float, Meta(ge=0)] = 0.0
    modality_dropout: Share = 0.0
