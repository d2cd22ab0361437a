"""How samples are compared with training pictures: every setting that changes the result."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.common.config import StageConfig

Space = Literal["pixels", "perceptual"]


class NeighborsConfig(StageConfig):
    """The ``k`` nearest pictures of ``split`` for each sample, in each of ``spaces`` (thesis 4.3.4).

    ``held_out`` is the split of real pictures that samples are compared with; at most ``held_out_most`` of them. A
    picture is called a copy when its nearest neighbour lies below ``copy_ratio`` of the distance of the k-th.
    ``perceptual`` features are SqueezeNet's, or else those of LPIPS's VGG-16; "auto" takes the first that is here.
    """

    k: int = Field(default=10, ge=2, le=1000)
    spaces: tuple[Space, ...] = Field(default=("pixels", "perceptual"), min_length=1)
    perceptual: Literal["auto", "squeezenet", "vgg"] = "auto"
    split: str = "train"
    held_out: str = "val"
    held_out_most: int = Field(default=1000, ge=1)
    copy_ratio: float = Field(default=0.5, gt=0, lt=1)
