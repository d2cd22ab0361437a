"""What a denoiser trains on: latents of a split, encoded once with their mirror images, or the pictures themselves."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.common.errors import Interrupted
from stages.common.processes import leader_first
from stages.common.shards import ShardDataset
from stages.common.stage import RunContext
from stages.common.tensors import mirror_some, to_model_range
from stages.common.training.checkpoints import undamaged
from stages.models.first_stage import Pixels
from stages.models.latent_space import LatentSpace

_BATCH = 32
_MEASURED = 512


class LatentData(Protocol):
    """Random access to what a denoiser trains on; ``shape`` is (C, H, W)."""

    shape: tuple[int, int, int]

    def __len__(self) -> int: ...

    def batch(self, indices: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> Tensor:
        """float32 (B, C, H, W), those that are ``mirrored`` of the picture's mirror image."""


class CachedLatents:
    """Latents in memory, float16 (2, N, C, H, W): of the pictures as they are, then mirrored."""

    def __init__(self, latents: Tensor) -> None:
        self._rows = latents.flatten(0, 1)
        channels, height, width = latents.shape[2:]
        self.shape = (channels, height, width)

    def __len__(self) -> int:
        return len(self._rows) // 2

    def batch(self, indices: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> Tensor:
        return self._rows.index_select(0, torch.from_numpy(indices + len(self) * mirrored)).float()


class Pictures:
    """Pictures of a split, decoded when they are asked for: for a denoiser without a first stage."""

    def __init__(self, data: ShardDataset) -> None:
        self._data = data
        height, width, channels = data[0].shape
        self.shape = (channels, height, width)

    def __len__(self) -> int:
        return len(self._data)

    def batch(self, indices: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> Tensor:
        return mirror_some(to_model_range(self._data.batch(indices)), mirrored)


def open_latents(first_stage: LatentSpace, data: ShardDataset, split: str, context: RunContext) -> LatentData:
    """The latents of a split, encoded at the first call and kept in ``context.work``; or its pictures."""
    if isinstance(first_stage, Pixels):
        return Pictures(data)
    path = context.work / f"latents-{split}.pt"
    with leader_first(context.device):
        if not path.is_file():
            temporary = path.with_suffix(".tmp")
            torch.save(_encode(first_stage, data, context), temporary)
            temporary.replace(path)
    with undamaged(path):
        return CachedLatents(torch.load(path, weights_only=True, mmap=True))


def largest_rms(data: LatentData) -> float:
    """The largest root mean square of one picture's latents, of up to 512 pictures spread over the data."""
    count = min(len(data), _MEASURED)
    spread = np.linspace(0, len(data) - 1, count).round().astype(np.int64)
    each = [data.batch(part, np.zeros(len(part), np.bool_)) for part in np.array_split(spread, -(-count // _BATCH))]
    largest = max(float(z.square().mean(dim=(1, 2, 3)).max()) for z in each)
    return round(float(largest**0.5), 4)


@torch.no_grad()
def _encode(first_stage: LatentSpace, data: ShardDataset, context: RunContext) -> Tensor:
    batches: list[Tensor] = []
    with context.progress.task("latents", len(data)) as task:
        for start in range(0, len(data), _BATCH):
            if batches and context.should_stop():
                raise Interrupted("stopped while encoding latents", "Add --resume to encode them again")
            x = to_model_range(data.batch(range(start, min(start + _BATCH, len(data))))).to(context.device)
            both = first_stage.encode(torch.cat([x, x.flip(3)])).half().cpu()
            batches.append(both.view(2, len(x), *both.shape[1:]))
            task.advance(len(x))
    return torch.cat(batches, dim=1).contiguous()
