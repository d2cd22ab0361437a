"""Latents of the frames of clips, whole and with the lower half masked, encoded once and mapped from a file."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from stages.common.clips import ClipDataset
from stages.common.errors import Interrupted
from stages.common.processes import leader_first
from stages.common.stage import RunContext
from stages.common.tensors import to_model_range
from stages.common.training.stepper import Stepper
from stages.models.first_stage import FirstStage
from stages.models.mouth_mask import mask_below, mask_top

FrameNumbers = Sequence[NDArray[np.int64]]
"""Which frames of each clip are taken, ascending."""
_BATCH = 32


class FrameLatents:
    """Latents of all frames that are taken, clip after clip: float16 (2, N, C, H, W), whole and masked."""

    def __init__(self, path: Path) -> None:
        self._pairs = np.load(path, mmap_mode="r")
        self.shape: tuple[int, int, int] = self._pairs.shape[2:]

    def __len__(self) -> int:
        return int(self._pairs.shape[1])

    def whole(self, rows: NDArray[np.int64]) -> Tensor:
        """float32 (B, C, H, W)."""
        return torch.from_numpy(self._pairs[0, rows]).float()

    def masked(self, rows: NDArray[np.int64]) -> Tensor:
        """float32 (B, C, H, W) of the pictures with the lower half masked."""
        return torch.from_numpy(self._pairs[1, rows]).float()


def open_frame_latents(
    first_stage: FirstStage,
    clips: ClipDataset,
    numbers: FrameNumbers,
    split: str,
    *,
    stepper: Stepper,
    context: RunContext,
) -> FrameLatents:
    """The latents of a split's frames, encoded at the first call and kept in ``context.work``."""
    path = context.work / f"frames-{split}.npy"
    with leader_first(context.device):
        if not path.is_file():
            temporary = path.with_suffix(".tmp")
            _encode(first_stage, clips, numbers, temporary, stepper=stepper, context=context)
            temporary.replace(path)
    return FrameLatents(path)


@torch.no_grad()
def _encode(
    first_stage: FirstStage,
    clips: ClipDataset,
    numbers: FrameNumbers,
    path: Path,
    *,
    stepper: Stepper,
    context: RunContext,
) -> None:
    config, encode = first_stage.config, _encoder(first_stage, stepper)
    shape = (config.folded_latent_channels, config.latent_size, config.latent_size)
    total = sum(map(len, numbers))
    pairs = open_memmap(path, mode="w+", dtype=np.float16, shape=(2, total, *shape))
    row = 0
    with context.progress.task("latents", total) as task:
        for clip, taken in enumerate(numbers):
            if row and context.should_stop():
                raise Interrupted("stopped while encoding latents", "Add --resume to encode them again")
            x = to_model_range(clips.frames(clip, taken.tolist()))
            tops = torch.from_numpy(mask_top(clips.landmarks(clip))[taken])
            for kind, pictures in enumerate((x, mask_below(x, tops))):
                for start in range(0, len(x), _BATCH):
                    z = encode(pictures[start : start + _BATCH].to(context.device))
                    pairs[kind, row + start : row + start + len(z)] = z.half().cpu().numpy()
            row += len(x)
            task.advance(len(x))
    pairs.flush()


def _encoder(first_stage: FirstStage, stepper: Stepper) -> Callable[[Tensor], Tensor]:
    """In the precision of the training. On CPUs bf16 throughout is twice as fast as under autocast."""
    if stepper.on_cpu and stepper.config.precision == "bf16":
        layout: dict[str, Any] = {"dtype": torch.bfloat16, "memory_format": torch.channels_last}
        lower: FirstStage = copy.deepcopy(first_stage).to(**layout)
        return lambda x_BCHW: lower.encode(x_BCHW.to(**layout))

    def encode(x_BCHW: Tensor) -> Tensor:
        with stepper.autocast():
            return first_stage.encode(x_BCHW)

    return encode
