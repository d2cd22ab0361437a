"""What a run shows while it lasts, for TensorBoard or Weights & Biases, in ``logs/`` beside what it writes."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.common.manifest import LOGS_NAME
from stages.common.stage import RunContext
from stages.common.training.stepper import Stepper

_EVERY = 10


class TrainingLog:
    """Curves and pictures of one run. Without a tracker in the context nothing is logged."""

    def __init__(self, stepper: Stepper, context: RunContext) -> None:
        self._accelerator = stepper.accelerator
        self._folder = context.out / LOGS_NAME
        self._on = context.tracker is not None and stepper.leads

    def __enter__(self) -> Self:
        if self._on:
            self._accelerator.init_trackers(LOGS_NAME)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._on:
            for tracker in self._accelerator.trackers:
                tracker.finish()

    def steps(self, losses: Mapping[str, float], step: int) -> None:
        """The losses of a training step; every tenth is kept."""
        if self._on and step % _EVERY == 0:
            self._accelerator.log({f"train/{name}": value for name, value in losses.items()}, step)

    def validation(self, row: Mapping[str, float], pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """A row of the history, and RGB grids (H, W, 3), which are also written as PNG."""
        if not self._on:
            return
        step = int(row["step"])
        self._accelerator.log({f"validation/{k}": v for k, v in row.items() if k != "step"}, step)
        for name, picture in pictures.items():
            Image.fromarray(picture).save(self._folder / f"{name}-{step:07d}.png")
            for tracker in self._accelerator.trackers:
                images = {name: picture[None]}
                if tracker.name == "tensorboard":
                    tracker.log_images(images, step, dataformats="NHWC")
                else:
                    tracker.log_images(images, step)
