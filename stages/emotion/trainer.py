"""One step of the emotion classifier's training, and its confusion matrix on held-out people."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from stages.common.emotions import EMOTIONS
from stages.common.shards import UNLABELLED, ShardDataset
from stages.common.tensors import to_model_range
from stages.common.training import SampleOrder, autocast, set_learning_rate
from stages.emotion.config import EmotionConfig
from stages.models.emotion_classifier import EmotionClassifier


class EmotionTrainer:
    """Implements ``stages.common.training.Trainee`` for an ``EmotionClassifier``."""

    def __init__(
        self,
        model: EmotionClassifier,
        config: EmotionConfig,
        data: tuple[ShardDataset, ShardDataset],
        seed: int,
        device: str,
    ) -> None:
        self.config = config
        self.device = device
        self.model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.train_data, self.val_data = data
        self.labelled = np.flatnonzero(self.train_data.labels != UNLABELLED)
        labels = self.train_data.labels[self.labelled]
        self.order = SampleOrder(labels, config.loop.batch_size, seed, config.class_balance)
        self.optimizer = torch.optim.AdamW(
            model.parameters(), config.loop.learning_rate, weight_decay=config.weight_decay
        )

    def train_step(self, step: int, learning_rate: float, random: torch.Generator) -> dict[str, float]:
        indices = self.labelled[self.order.indices(step)]
        x = augment(to_model_range(self.train_data.batch(indices)), self.config, random).to(self.device)
        labels = torch.from_numpy(self.train_data.labels[indices]).to(self.device)
        # Dropout draws from the global stream, which therefore starts from this step's own.
        torch.manual_seed(int(torch.randint(2**31, (), generator=random)))
        set_learning_rate(self.optimizer, learning_rate)
        self.model.train()
        with autocast(self.config.loop, self.device):
            logits = self.model(x)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.config.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.item(), "accuracy": (logits.argmax(1) == labels).float().mean().item()}

    def validate(self) -> dict[str, float]:
        confusion = confusion_matrix(self.model, self.val_data, self.device)
        seen = confusion.sum(axis=1) > 0
        recall = confusion.diagonal()[seen] / confusion.sum(axis=1)[seen]
        return {
            "val_accuracy": float(confusion.trace() / confusion.sum()),
            "val_mean_recall": float(recall.mean()),
        }

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])


@torch.no_grad()
def confusion_matrix(model: EmotionClassifier, data: ShardDataset, device: str) -> NDArray[np.int64]:
    """Counts (true class, predicted class) over the labelled samples."""
    model.eval()
    confusion = np.zeros((len(EMOTIONS), len(EMOTIONS)), dtype=np.int64)
    labelled = np.flatnonzero(data.labels != UNLABELLED)
    for indices in np.array_split(labelled, max(1, len(labelled) // 64)):
        logits = model(to_model_range(data.batch(indices)).to(device))
        np.add.at(confusion, (data.labels[indices], logits.argmax(1).cpu().numpy()), 1)
    return confusion


def augment(x_BCHW: Tensor, config: EmotionConfig, random: torch.Generator) -> Tensor:
    """Flip, shift, scale brightness and contrast, and sometimes drop colour; pictures in -1..1 in and out."""
    batch = len(x_BCHW)
    flip = torch.rand(batch, generator=random) < 0.5
    x_BCHW = torch.where(flip.view(-1, 1, 1, 1), x_BCHW.flip(3), x_BCHW)
    shift = (torch.rand(batch, 2, generator=random) * 2 - 1) * 2 * config.max_shift
    zoom = 1 + (torch.rand(batch, generator=random) * 2 - 1) * config.max_shift
    affine = torch.zeros(batch, 2, 3)
    affine[:, 0, 0] = affine[:, 1, 1] = zoom
    affine[:, :, 2] = shift
    grid = F.affine_grid(affine, list(x_BCHW.shape), align_corners=False)
    x_BCHW = F.grid_sample(x_BCHW, grid, padding_mode="reflection", align_corners=False)
    gain, bias = ((torch.rand(2, batch, 1, 1, 1, generator=random) * 2 - 1) * config.max_gain).unbind(0)
    grey = torch.rand(batch, 1, 1, 1, generator=random) < 0.2
    x_BCHW = torch.where(grey, x_BCHW.mean(dim=1, keepdim=True), x_BCHW)
    return (x_BCHW * (1 + gain) + bias).clamp(-1, 1)
