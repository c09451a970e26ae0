"""Where a network is trained: the processor, or a GPU that does not wait for its batches."""

from __future__ import annotations

import os

import torch

from affectus.errors import ConfigError

# What the forward pass is computed in; what is learnt stays in float32.
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "float32": torch.float32}


def choose_device(name: str) -> torch.device:
    """Return the device that `training.device` names; auto: CUDA where it is there, else the CPU.

    Each process that torchrun starts on a machine gets a GPU of its own, by LOCAL_RANK.

    Raises ConfigError for a device that is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = "cuda" if there["cuda"] else "cpu"
    if not there.get(name, True):
        raise ConfigError(
            f"training.device is '{name}', but torch finds none; expected one that is there. Add "
            f"--set training.device=auto, or install torch for your GPU."
        )
    if name == "cuda":
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device(name)


def describe_device(device: torch.device) -> str:
    """Return what a report says of a device."""
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    return device.type
