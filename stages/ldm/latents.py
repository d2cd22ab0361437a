"""Latents of a split, encoded once with their mirror images and kept for the whole training."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from stages.common.progress import Progress
from stages.common.shards import ShardDataset
from stages.common.tensors import to_model_range
from stages.common.training import undamaged
from stages.models.first_stage import FirstStage

_BATCH = 32


def cached_latents(path: Path, first_stage: FirstStage, data: ShardDataset, device: str, progress: Progress) -> Tensor:
    """float16 latents (2, N, C, H, W): pictures as they are, then mirrored. Encoded at the first call, then read."""
    if not path.is_file():
        temporary = path.with_suffix(".tmp")
        torch.save(_encode(first_stage, data, device, progress), temporary)
        temporary.replace(path)
    with undamaged(path):
        latents: Tensor = torch.load(path, weights_only=True, mmap=True)
        return latents


@torch.no_grad()
def _encode(first_stage: FirstStage, data: ShardDataset, device: str, progress: Progress) -> Tensor:
    batches = []
    with progress.task("latents", len(data)) as task:
        for start in range(0, len(data), _BATCH):
            x = to_model_range(data.batch(range(start, min(start + _BATCH, len(data))))).to(device)
            both = first_stage.encode(torch.cat([x, x.flip(3)])).half().cpu()
            batches.append(both.view(2, len(x), *both.shape[1:]))
            task.advance(len(x))
    return torch.cat(batches, dim=1).contiguous()
