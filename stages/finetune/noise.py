"""What a denoiser is tuned on: chosen pictures, and the noise that they become when they are inverted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.common.edit_method import EditMethod
from stages.common.editor import Editor
from stages.common.emotions import EMOTIONS, NULL_CLASS
from stages.common.errors import Interrupted
from stages.common.processes import leader_first
from stages.common.shards import UNLABELLED, ShardDataset
from stages.common.stage import RunContext
from stages.common.tensors import to_model_range
from stages.common.training.checkpoints import undamaged
from stages.finetune.config import FinetuneConfig
from stages.models.samplers import ddim_invert, edit_timesteps

_CHUNK = 16


@dataclass(frozen=True)
class InvertedPictures:
    """N pictures of ``data`` at ``indices``, their classes (N,), and the latents (N, C, H, W) they were inverted to."""

    data: ShardDataset
    indices: NDArray[np.int64]
    noise_NCHW: Tensor

    @property
    def labels(self) -> NDArray[np.int64]:
        labels: NDArray[np.int64] = self.data.labels[self.indices]
        return labels

    def __len__(self) -> int:
        return len(self.indices)

    def pictures(self, rows: NDArray[np.int64]) -> Tensor:
        """float32 (B, 3, S, S) in -1..1."""
        return to_model_range(self.data.batch(self.indices[rows]))


def choose_pictures(
    labels: NDArray[np.int64], target: int, *, per_class: int, samples: int, seed: int
) -> NDArray[np.int64]:
    """At most ``samples`` indices, drawn from at most ``per_class`` of each class that is not the target, ascending."""
    random = np.random.default_rng(seed)
    pool = [
        random.permutation(np.flatnonzero(labels == label))[:per_class]
        for label in np.unique(labels)
        if label not in {target, UNLABELLED}
    ]
    return np.sort(random.permutation(np.concatenate([np.empty(0, np.int64), *pool]))[:samples])


def invert_pictures(
    data: ShardDataset,
    indices: NDArray[np.int64],
    editor: Editor,
    config: FinetuneConfig,
    context: RunContext,
    *,
    guidance: float,
    name: str,
) -> InvertedPictures:
    """Invert as an edit does, each picture under its own class, and keep the result in ``context.work``.

    Pictures of a class that the model has not learned are inverted under none. Raises ``Interrupted`` between chunks,
    which are kept.
    """
    scale = guidance if config.guided == "both" else 1.0
    known = [EMOTIONS.index(emotion) for emotion in editor.supported]
    chunks = [indices[start : start + _CHUNK] for start in range(0, len(indices), _CHUNK)]
    paths = [context.work / f"noise-{name}-{number:05d}.pt" for number in range(len(chunks))]
    with leader_first(context.device), context.progress.task(f"inverting {name}", len(indices)) as task:
        for number, (path, chunk) in enumerate(zip(paths, chunks, strict=True)):
            if not path.is_file():
                if number and context.should_stop():
                    raise Interrupted("stopped while inverting pictures", "Add --resume to continue")
                labels = np.where(np.isin(data.labels[chunk], known), data.labels[chunk], NULL_CLASS)
                x = to_model_range(data.batch(chunk))
                _save(path, _invert(editor, x, torch.from_numpy(labels), scale, config))
            task.advance(len(chunk))
    return InvertedPictures(data, indices, torch.cat([_load(path) for path in paths]))


@torch.no_grad()
def _invert(editor: Editor, x_BCHW: Tensor, labels_B: Tensor, scale: float, config: FinetuneConfig) -> Tensor:
    timesteps = edit_timesteps(config.strength, config.invert_steps)
    predict = editor.predict(labels_B, torch.full((len(x_BCHW),), scale), EditMethod())
    z0 = editor.first_stage.encode(x_BCHW.to(editor.device))
    return ddim_invert(predict, z0, timesteps, editor.process.abar_T).cpu()


def _save(path: Path, noise_BCHW: Tensor) -> None:
    temporary = path.with_suffix(".tmp")
    torch.save(noise_BCHW, temporary)
    temporary.replace(path)


def _load(path: Path) -> Tensor:
    with undamaged(path):
        noise: Tensor = torch.load(path, weights_only=True)
    return noise
