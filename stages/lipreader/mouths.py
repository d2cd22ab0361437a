"""The mouths of a split, cut out once and kept as bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stages.common.clips import ClipDataset
from stages.common.errors import BadInputError, Interrupted
from stages.common.lip_reading import cut_mouths
from stages.common.processes import leader_first
from stages.common.stage import RunContext
from stages.common.training.checkpoints import undamaged


class MouthData:
    """Grey mouths and facts of the clips of a split that have a text; ``lengths`` holds their frames (N,).

    Raises ``BadInputError`` when none has.
    """

    def __init__(self, data: ClipDataset, split: str, side_px: int, context: RunContext) -> None:
        facts = [data.facts(index) for index in range(len(data))]
        spoken = [index for index, fact in enumerate(facts) if (fact["text"] or "").strip()]
        if not spoken:
            raise BadInputError(
                f"no clip of the split {split!r} has a text", "Give `preprocess video` a table with --transcripts"
            )
        self.keys = [data.keys[index] for index in spoken]
        self.facts: list[dict[str, Any]] = [facts[index] for index in spoken]
        self.lengths = data.lengths[spoken]
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)])
        path = context.work / f"mouths-{split}.pt"
        with leader_first(context.device):
            if not path.is_file():
                temporary = path.with_suffix(".tmp")
                torch.save(_cut_all(data, spoken, side_px, context), temporary)
                temporary.replace(path)
        with undamaged(path):
            self._mouths: NDArray[np.uint8] = torch.load(path, weights_only=True, mmap=True).numpy()

    def __len__(self) -> int:
        return len(self.keys)

    def mouths(self, index: int) -> NDArray[np.uint8]:
        """All of a clip, (T, S, S)."""
        return self._mouths[self._starts[index] : self._starts[index + 1]]


def _cut_all(data: ClipDataset, indices: list[int], side_px: int, context: RunContext) -> torch.Tensor:
    """Those of all clips, one after the other (sum of T, S, S)."""
    mouths = []
    with context.progress.task("mouths", len(indices)) as task:
        for index in indices:
            if context.should_stop():
                raise Interrupted("stopped while cutting out mouths", "Add --resume to cut them again")
            grey = cut_mouths(data.frames(index), data.landmarks(index), side_px)
            mouths.append((grey * 255).round().to(torch.uint8))
            task.advance(1)
    return torch.cat(mouths)
