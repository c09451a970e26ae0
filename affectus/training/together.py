"""Several processes that train one network together, as torchrun starts them.

Every process plans the same batches and takes its part of each; gradients and the statistics of
batch normalisation are summed over all of them, so that a step is that of one process with the
whole batch. The first one alone writes.

**Source:** Li et al. (2020), "PyTorch Distributed", VLDB; statistics over all processes: Peng et
al. (2018), "MegDet", section 3.3. torch's own SyncBatchNorm is for CUDA alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from affectus.errors import TrainingError
from affectus.models import Network

_PATIENCE = timedelta(hours=2)  # the others wait while the first checks copies of a large corpus


@dataclass(frozen=True)
class Team:
    """This process's number among `size` that train together."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def wait(self) -> None:
        """Return when all have come here."""
        if self.size > 1:
            distributed.barrier()

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """Let the others in when the first process is done; if that fails, never."""
        if not self.leads:
            self.wait()
        yield
        if self.leads:
            self.wait()

    def add_up(self, values: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.size == 1:
            return values
        total = values.detach().clone()
        distributed.all_reduce(total)
        return total

    def add_up_scores(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return scores [N, K] of which each process knows some rows, the others being 0."""
        return self.add_up(torch.from_numpy(scores)).numpy()

    def random_states(self) -> list[Tensor]:
        """Return the state of torch's random numbers in each process."""
        own = torch.get_rng_state()
        if self.size == 1:
            return [own]
        states = [torch.empty_like(own) for _ in range(self.size)]
        distributed.all_gather(states, own)
        return states

    def expect_same(self, step: int, folder: str) -> None:
        """Refuse (TrainingError) to go on from different steps."""
        total = self.add_up(torch.tensor([step, step * step], dtype=torch.float64))
        if self.size * total[1] != total[0] ** 2:
            raise TrainingError(
                f"{folder}: process {self.rank} goes on from step {step}, others do not; expected "
                f"a folder that all processes see. Use a shared one."
            )


ALONE = Team()


@contextmanager
def join_team() -> Iterator[Team]:
    """Join the processes that torchrun started; without it, there is but this one."""
    if distributed.is_available() and distributed.is_initialized():
        yield Team(distributed.get_rank(), distributed.get_world_size())
        return
    if not is_launched():
        yield ALONE
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Team(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def is_launched() -> bool:
    """Tell whether torchrun started this process among several."""
    elastic = distributed.is_available() and distributed.is_torchelastic_launched()
    return elastic and int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_first() -> bool:
    """Tell whether this process is the one that writes and prints."""
    return not is_launched() or os.environ.get("RANK") == "0"


def train_together(network: Network, team: Team) -> nn.Module:
    """Return what a step calls in place of the network, whose own weights move.

    The parameters stay the same objects, so an optimiser that has them keeps them.
    """
    if team.size == 1:
        return network
    share_statistics(network)
    return DistributedDataParallel(
        network, broadcast_buffers=False, find_unused_parameters=bool(network.n_face)
    )


def share_statistics(network: nn.Module) -> None:
    """Let every batch normalisation of a network take its statistics from all processes."""
    for name, child in network.named_children():
        if isinstance(child, _BatchNorm):
            setattr(network, name, SharedBatchNorm.of(child))
        else:
            share_statistics(child)


def tell_copies(network: nn.Module, copies: int) -> None:
    """Tell batch normalisations how many processes have the same clips in the next step."""
    for module in network.modules():
        if isinstance(module, SharedBatchNorm):
            module.copies = copies


class SharedBatchNorm(_BatchNorm):
    """Batch normalisation [B, C, ...] by the mean and variance over the clips of all processes.

    `copies` is how many processes have the same clips, where there are too few for a part each.
    """

    copies = 1

    @classmethod
    def of(cls, norm: _BatchNorm) -> SharedBatchNorm:
        """Return one with the weights and running statistics of another, the very same tensors."""
        shared = cls(norm.num_features, norm.eps, norm.momentum)
        shared.weight, shared.bias = norm.weight, norm.bias
        shared.running_mean, shared.running_var = norm.running_mean, norm.running_var
        shared.num_batches_tracked = norm.num_batches_tracked
        return shared.train(norm.training)

    def forward(self, image: Tensor) -> Tensor:
        """Return the normalised image; in evaluation, by the running statistics."""
        if not self.training:
            result: Tensor = super().forward(image)
            return result
        values = image.float()
        dims = [0, *range(2, values.dim())]
        shape = [1, -1, *[1] * (values.dim() - 2)]
        n_here = values.new_tensor([values.numel() / values.shape[1]])
        sums = all_reduce(torch.cat([values.sum(dims), n_here]))  # type: ignore[no-untyped-call]
        n_all = sums[-1].detach()
        mean = sums[:-1] / n_all
        centred = values - mean.view(shape)
        variance = all_reduce(centred.square().sum(dims)) / n_all  # type: ignore[no-untyped-call]
        n_known = n_all / self.copies
        self._remember(mean.detach(), (variance * n_known / (n_known - 1)).detach())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        image_out: Tensor = centred * scale.view(shape) + self.bias.view(shape)
        return image_out.to(image.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked.add_(1)

    def _check_input_dim(self, image: Tensor) -> None:
        """Any number of dimensions will do."""
