"""What the upscaler learns from: large pictures of aligned faces, and what a first stage makes of them when small.

Shapes: N pictures, V variants, L large and S small size; C = 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from stages.common.errors import BadInputError
from stages.common.shards import ShardDataset
from stages.common.tensors import from_model_range, to_model_range
from stages.models.latent_space import LatentSpace
from stages.upscaler.config import UpscalerTrainingConfig

Bytes = NDArray[np.uint8]

MOUTH = (0.5, 0.69)
EYES = ((0.357, 0.347), (0.643, 0.347))
"""Where the canonical face has them, as shares of the crop."""
_SCATTER = 0.05
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Pair:
    small_SSC: Bytes
    large_LLC: Bytes


class FacePairs:
    """The variants of a split's pictures, each from (seed, picture, variant) alone; variant 0 is as the picture is.

    What the first stage decodes is computed once and kept in memory (V N S² C bytes).
    Raises ``BadInputError`` unless the pictures are ``factor`` times as large as the first stage's.
    """

    def __init__(
        self,
        data: ShardDataset,
        first_stage: LatentSpace,
        config: UpscalerTrainingConfig,
        *,
        variants: int,
        seed: int,
        device: str = "cpu",
    ) -> None:
        self.data, self.config, self.variants, self.seed = data, config, variants, seed
        self.small_px = first_stage.config.size_px
        self.large_px = self.small_px * config.network.factor
        have = data[0].shape[0]
        if have != self.large_px:
            raise BadInputError(
                f"the pictures have {have} px, the first stage's times {config.network.factor} are {self.large_px}",
                f"Cut them with `preprocess folder --size {self.large_px}`",
            )
        self._small = self._decode(first_stage, device)

    def __len__(self) -> int:
        return len(self.data) * self.variants

    def __getitem__(self, index: int) -> Pair:
        return Pair(self._small[index], self.large(index))

    def large(self, index: int) -> Bytes:
        """The large picture (L, L, C) of a variant."""
        picture = self.data[index // self.variants]
        if index % self.variants == 0:
            return picture
        random = np.random.default_rng([self.seed, index])
        return move(picture, self.config, random)

    def _decode(self, first_stage: LatentSpace, device: str) -> Bytes:
        made: list[Bytes] = []
        for start in range(0, len(self), _BATCH):
            large = [self.large(i) for i in range(start, min(start + _BATCH, len(self)))]
            small = [cv2.resize(p, (self.small_px, self.small_px), interpolation=cv2.INTER_AREA) for p in large]
            with torch.no_grad():
                decoded = first_stage.decode(first_stage.encode(to_model_range(small).to(device)))
            made.append(from_model_range(decoded))
        return np.concatenate(made)


def move(picture_LLC: Bytes, config: UpscalerTrainingConfig, random: np.random.Generator) -> Bytes:
    """The picture turned, scaled, shifted and, half the time, mirrored, under a light of another colour."""
    size = len(picture_LLC)
    turn, zoom = random.uniform(-1, 1, 2) * (config.max_turn_degrees, config.max_zoom)
    middle = (size - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), float(turn), float(1 + zoom))
    matrix[:, 2] += random.uniform(-1, 1, 2) * config.max_shift * size
    if random.random() < 0.5:
        picture_LLC = picture_LLC[:, ::-1]
    moved = cv2.warpAffine(
        np.ascontiguousarray(picture_LLC), matrix, (size, size), flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT
    )
    gain = 1 + random.uniform(-1, 1, 3) * config.max_gain
    return np.asarray(np.clip(np.rint(moved * gain), 0, 255).astype(np.uint8))


def draw_corner(config: UpscalerTrainingConfig, size_px: int, random: np.random.Generator) -> tuple[int, int]:
    """The upper left pixel (y, x) of a patch of a crop."""
    kind = random.random()
    if kind < config.mouths:
        center = np.array(MOUTH)
    elif kind < config.mouths + config.eyes:
        center = np.array(EYES[int(random.integers(2))])
    else:
        center = random.uniform(0.1, 0.9, 2)
    x, y = center + random.uniform(-_SCATTER, _SCATTER, 2)
    return corner_at((float(x), float(y)), config.patch_hw, size_px)


def corner_at(center_xy: tuple[float, float], patch_hw: tuple[int, int], size_px: int) -> tuple[int, int]:
    """The upper left pixel (y, x) of the patch about a place of the crop, within the crop."""
    corner = [
        min(max(round(place * size_px - side / 2), 0), max(size_px - side, 0))
        for place, side in zip(center_xy[::-1], patch_hw, strict=True)
    ]
    return corner[0], corner[1]
