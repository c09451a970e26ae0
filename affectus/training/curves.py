"""The curves of a fold for TensorBoard, beside its history.jsonl."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from affectus.runs import Epoch

_TAGS = {
    "loss": "train/loss",
    "learning_rate": "train/learning_rate",
    "dev_uar": "dev/UAR",
    "dev_war": "dev/WAR",
    "dev_nll": "dev/NLL",
    "seconds": "train/seconds",
}


@contextmanager
def draw_curves(
    folder: Path, history: Sequence[Epoch], *, wanted: bool
) -> Iterator[Callable[[Epoch], None]]:
    """Write `folder`/tensorboard anew from a history; yield what adds an epoch to it.

    Written anew, the curves of a fold that was killed hold each epoch once. Where they are not
    `wanted`, nothing is written.
    """
    if not wanted:
        yield lambda epoch: None
        return
    from torch.utils.tensorboard import SummaryWriter

    place = folder / "tensorboard"
    shutil.rmtree(place, ignore_errors=True)
    writer = SummaryWriter(str(place))

    def add(epoch: Epoch) -> None:
        for key, tag in _TAGS.items():
            writer.add_scalar(tag, getattr(epoch, key), epoch.epoch)
        writer.flush()

    try:
        for epoch in history:
            add(epoch)
        yield add
    finally:
        writer.close()
