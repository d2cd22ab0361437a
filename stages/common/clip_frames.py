"""The frames of clips as single pictures, for stages that learn from pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stages.common.clips import ClipDataset
from stages.common.manifest import Artifact, ArtifactKind
from stages.common.shards import ShardDataset

PICTURE_ROLES = {"data": ArtifactKind.SHARDS, "clips": ArtifactKind.CLIPS}
"""One of these is what a first stage learns from."""


class ClipFrames:
    """All frames of one split of a clips artifact, clip after clip, as a ``ShardDataset`` gives its pictures.

    ``labels`` holds the clip's class index for each frame (N,). Raises ``BadInputError`` as ``ClipDataset`` does.
    """

    def __init__(self, artifact: Artifact, split: str) -> None:
        self._clips = ClipDataset(artifact, split)
        lengths = self._clips.lengths
        self._clip = np.repeat(np.arange(len(lengths)), lengths)
        self._number = np.concatenate([np.arange(length) for length in lengths])
        self.keys = [f"{self._clips.keys[c]}/{n}" for c, n in zip(self._clip, self._number, strict=True)]
        self.labels: NDArray[np.int64] = self._clips.labels[self._clip]

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """The decoded frame, (H, W, 3) RGB."""
        frame: NDArray[np.uint8] = self._clips.frames(int(self._clip[index]), [int(self._number[index])])[0]
        return frame

    def batch(self, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Frames (B, H, W, 3)."""
        return np.stack([self[int(i)] for i in indices])


PictureData = ShardDataset | ClipFrames


def open_pictures(artifact: Artifact, split: str) -> PictureData:
    """The pictures of a split of shards, or the frames of a split of clips."""
    return (ClipFrames if artifact.manifest.kind is ArtifactKind.CLIPS else ShardDataset)(artifact, split)
