"""The voice model's network: hidden layers over groups of columns, many trained and joined in one.

Members differ by their seed and by the group of columns that they see: statistics of descriptors,
or correlations of these. A group's members are one network with all their hidden units, exactly;
so they cost what one wide network costs. Logits are the weighted sum over groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from affectus.adaptation import SpeakerProfile, adapt, learn

Rows = NDArray[np.float32]
Labels = NDArray[np.intp]

N_LABELS = 8
LEVEL = -1  # the column of `speech_level_db`
FARTHEST = 2.5  # deviations: a feature of a clip counts for no more
N_HIDDEN = 64  # of each member
BATCH = 96
STEPS = 600
RATE = 1e-3
DECAY = 0.02
SMOOTHING = 0.1
DROPOUT = (0.3, 0.5)  # of features, of hidden units
GAIN_DB = 12.0  # by up to which the level of a strict row is wrong; an adapted one's is right
KNOWN_CLIPS = (None, 20, None, 5, None, 10)  # by which pseudo-speakers are adapted to; None: all


@dataclass(frozen=True)
class Material:
    """A corpus as it is trained on: views [N, D] of the same N clips, their labels and speakers.

    `share` is its part of every batch. Clips are compared among the labels their corpus has.
    """

    views: Sequence[Rows]
    labels: Labels
    speakers: NDArray[np.str_]
    share: float


@dataclass(frozen=True)
class Group:
    """Columns [C] that some members see alone, and how much these members' logits count."""

    columns: NDArray[np.intp]
    weight: float


@dataclass(frozen=True)
class Layers:
    """All members of a group as one network: a hidden layer, logits."""

    columns: NDArray[np.intp]  # [C]
    hidden: Rows  # [C, H]
    hidden_bias: Rows
    out: Rows  # [H, K]
    out_bias: Rows


@dataclass(frozen=True)
class Ensemble:
    """All members: standardise, clip; the layers of each group; the sum of their logits."""

    mean: Rows
    deviation: Rows
    layers: Sequence[Layers]

    def logits(self, rows: Rows, profile: SpeakerProfile | None = None) -> NDArray[np.float64]:
        """Return logits [N, K] of functionals [N, D], adapted to a speaker or not."""
        if profile is not None:
            rows = adapt(rows, profile, self.mean, self.deviation)
        near = np.clip((rows - self.mean) / self.deviation, -FARTHEST, FARTHEST)
        logits = np.zeros((len(rows), N_LABELS))
        for part in self.layers:
            units = near[:, part.columns] @ part.hidden + part.hidden_bias
            units = units / (1 + np.exp(-units))
            logits += units @ part.out + part.out_bias
        return logits


def fit_ensemble(
    materials: Mapping[str, Material], groups: Sequence[Group], n_members: int, steps: int = STEPS
) -> Ensemble:
    """Train every member of each group on strict and adapted rows alike, and join them."""
    shares = sum(material.share for material in materials.values())
    mean, deviation = _statistics(materials, shares)
    pools = [
        _pool(material, mean, deviation, round(BATCH * material.share / shares))
        for material in materials.values()
    ]
    weights = sum(group.weight for group in groups)
    layers = []
    for group in groups:
        members = [_fit_member(pools, group.columns, seed, steps) for seed in range(n_members)]
        layers.append(_join(group.columns, members, group.weight / weights))
    return Ensemble(mean, deviation, layers)


def _join(columns: NDArray[np.intp], members: Sequence[nn.Sequential], weight: float) -> Layers:
    """Return members as one network whose logits are their mean, times a weight."""
    first = [member[1] for member in members]
    last = [member[-1] for member in members]
    outs = np.concatenate([layer.weight.detach().numpy().T for layer in last])
    return Layers(
        columns,
        np.concatenate([layer.weight.detach().numpy().T for layer in first], axis=1),
        np.concatenate([layer.bias.detach().numpy() for layer in first]),
        outs * np.float32(weight / len(members)),
        np.mean([layer.bias.detach().numpy() for layer in last], axis=0) * np.float32(weight),
    )


def know_speaker(rows: Rows) -> SpeakerProfile:
    """Return the profile of a speaker whose clips have these rows [n, D]."""
    return learn(row[None] for row in rows)


@dataclass(frozen=True)
class _Pool:
    """What members draw from: rows [V · N, D] of V views, and what goes with each clip."""

    rows: Tensor
    targets: Tensor  # [N, K]
    weights: Tensor  # [N]
    known: Tensor  # [K]: the labels that this corpus has
    size: int  # clips in a batch

    def draw(self, order: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        n = len(self.targets)
        views = torch.randint(len(self.rows) // n, order.shape, generator=rng)
        rows = self.rows[views * n + order].float()
        known = self.known.expand(len(order), -1)
        return rows, self.targets[order], self.weights[order], known


def _statistics(materials: Mapping[str, Material], shares: float) -> tuple[Rows, Rows]:
    """Return mean and deviation [D] of what batches hold, each corpus by its share."""
    moments = [
        (m.share / shares, np.mean([v.mean(axis=0, dtype=np.float64) for v in m.views], axis=0),
         np.mean([np.square(v, dtype=np.float64).mean(axis=0) for v in m.views], axis=0))
        for m in materials.values()
    ]  # fmt: skip
    mean = sum(share * first for share, first, _ in moments)
    square = sum(share * second for share, _, second in moments)
    deviation = np.sqrt(np.maximum(square - np.square(mean), 0))
    deviation[deviation < 1e-6] = 1
    return mean.astype(np.float32), deviation.astype(np.float32)


def _pool(material: Material, mean: Rows, deviation: Rows, size: int) -> _Pool:
    rng = np.random.default_rng(0)
    parts = []
    for number, rows in enumerate(material.views):
        adapted = np.empty_like(rows)
        for speaker in np.unique(material.speakers):
            own = np.flatnonzero(material.speakers == speaker)
            n_known = KNOWN_CLIPS[number % len(KNOWN_CLIPS)]
            heard = own if n_known is None else rng.permutation(own)[:n_known]
            adapted[own] = adapt(rows[own], know_speaker(rows[heard]), mean, deviation)
        strict = rows.copy()
        strict[:, LEVEL] += rng.uniform(-GAIN_DB, GAIN_DB, len(rows))
        parts += [strict, adapted]
    near = [
        torch.from_numpy(np.clip((part - mean) / deviation, -FARTHEST, FARTHEST)).half()
        for part in parts
    ]
    counts = np.bincount(material.labels, minlength=N_LABELS)
    known = torch.from_numpy(counts > 0)
    one_hot = nn.functional.one_hot(torch.from_numpy(material.labels), N_LABELS).float()
    weights = len(material.labels) / (max(1, int(known.sum())) * np.maximum(counts, 1))
    return _Pool(
        torch.cat(near),
        one_hot * (1 - SMOOTHING) + SMOOTHING * known.float() / known.sum(),
        torch.from_numpy(weights[material.labels]).float(),
        known,
        size,
    )


class _Drop(nn.Module):
    """Dropout by random bytes, to a 256th: a tenth of the time of torch's on one processor."""

    def __init__(self, share: float, seed: int) -> None:
        super().__init__()
        self._least = round(256 * share)
        self._rng = np.random.default_rng(seed)

    def forward(self, rows: Tensor) -> Tensor:
        """Return rows, some of their values 0 and the others larger for it."""
        drawn = np.frombuffer(self._rng.bytes(rows.numel()), np.uint8).reshape(rows.shape)
        kept = torch.from_numpy(drawn >= self._least)
        return rows * kept * (256 / (256 - self._least))


def _fit_member(
    pools: Sequence[_Pool], columns: NDArray[np.intp], seed: int, steps: int
) -> nn.Sequential:
    torch.manual_seed(seed)
    seen = torch.from_numpy(columns)
    rng = torch.Generator().manual_seed(seed)
    network = nn.Sequential(
        _Drop(DROPOUT[0], seed),
        nn.Linear(len(columns), N_HIDDEN),
        nn.SiLU(),
        nn.Dropout(DROPOUT[1]),
        nn.Linear(N_HIDDEN, N_LABELS),
    )
    matrices = [p for p in network.parameters() if p.dim() > 1]
    biases = [p for p in network.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": biases, "weight_decay": 0}]
    optimiser = torch.optim.AdamW(groups, lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    orders = [torch.empty(0, dtype=torch.long) for _ in pools]
    for _ in range(steps):
        drawn = []
        for number, pool in enumerate(pools):
            if len(orders[number]) < pool.size:
                fresh = torch.randperm(len(pool.targets), generator=rng)
                orders[number] = torch.cat([orders[number], fresh])
            now, orders[number] = orders[number].split([pool.size, len(orders[number]) - pool.size])
            drawn.append(pool.draw(now, rng))
        rows, targets, weights, known = (torch.cat(part) for part in zip(*drawn, strict=True))
        logits = network(rows[:, seen]).masked_fill(~known, -30.0)
        loss = -(weights * (targets * logits.log_softmax(1)).sum(1)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()
