"""Random access to the samples of a clips artifact."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.common.clip_sample import FACTS, FRAMES, LANDMARKS, SOUND
from stages.common.errors import BadInputError
from stages.common.images import decode_rgb
from stages.common.manifest import Artifact
from stages.common.media.sound import decode_wav
from stages.common.shards import ShardFiles, class_indices


class ClipDataset:
    """One split of a clips artifact: pictures, landmarks, sound and facts of each clip.

    ``labels`` holds class indices (N,) in the order of ``EMOTIONS``, ``UNLABELLED`` where there is none;
    ``lengths`` holds the number of frames of each clip (N,).
    Raises ``BadInputError`` when the split is empty or a file is missing or damaged.
    """

    def __init__(self, artifact: Artifact, split: str) -> None:
        self._shards = ShardFiles(artifact, split)
        table = self._shards.table
        self.keys: list[str] = table["sample_key"]
        self.identities: list[str | None] = table["identity"]
        self.labels = class_indices(table["emotion"])
        self.lengths = np.array(table["frames"])

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def fps(self) -> float:
        """The frames a second of all clips. Raises ``BadInputError`` when they differ."""
        rates = {float(self.facts(index)["fps"]) for index in range(len(self))}
        if len(rates) > 1:
            raise BadInputError(f"the clips have {sorted(rates)} frames a second", "Preprocess them with one --fps")
        return rates.pop()

    def frames(self, index: int, numbers: Sequence[int] | None = None) -> NDArray[np.uint8]:
        """All pictures of a clip, or those with these numbers, (T, H, W, 3) RGB."""
        ends = [0, *self.facts(index)["frame_ends"]]
        content = self._shards.read(index, FRAMES)
        wanted = range(len(ends) - 1) if numbers is None else numbers
        return np.stack([decode_rgb(content[ends[n] : ends[n + 1]], self.keys[index]) for n in wanted])

    def landmarks(self, index: int) -> NDArray[np.float32]:
        """(T, 68, 2) as (x, y) in pixels of the pictures."""
        loaded: NDArray[np.float32] = np.load(io.BytesIO(self._shards.read(index, LANDMARKS)), allow_pickle=False)
        return loaded

    def sound(self, index: int) -> NDArray[np.float32]:
        """Samples -1..1 (N,) at 16 kHz; frame k begins with sample k * 16000 / fps."""
        return decode_wav(self._shards.read(index, SOUND))

    def sound_file(self, index: int) -> bytes:
        """The WAV file as it lies in its shard."""
        return self._shards.read(index, SOUND)

    def facts(self, index: int) -> dict[str, Any]:
        """``text``, ``words`` (word, start_s, end_s), ``fps``, ``emotion``, ``level``, ``identity``, ``split``, and
        ``interpolated``: the numbers of the frames in which no face was found."""
        facts: dict[str, Any] = json.loads(self._shards.read(index, FACTS))
        return facts
