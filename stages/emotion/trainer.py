"""One step of the emotion classifier's training, and its confusion matrix on held-out people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from stages.common.emotions import EMOTIONS
from stages.common.shards import UNLABELLED, ShardDataset
from stages.common.tensors import to_model_range
from stages.common.training.lookahead import Lookahead
from stages.common.training.order import SampleOrder
from stages.common.training.stepper import Draws, Stepper
from stages.emotion.calibration import calibration_error
from stages.emotion.config import EmotionConfig
from stages.models.emotion_classifier import EmotionClassifier


class EmotionTrainer:
    """Implements ``stages.common.training.loop.Trainee`` for an ``EmotionClassifier``."""

    def __init__(
        self,
        model: EmotionClassifier,
        config: EmotionConfig,
        data: tuple[ShardDataset, ShardDataset],
        *,
        stepper: Stepper,
        seed: int,
        workers: int = 1,
    ) -> None:
        self.config = config
        self.stepper = stepper
        self.model = model
        self.train_data, self.val_data = data
        self.labelled = np.flatnonzero(self.train_data.labels != UNLABELLED)
        labels = self.train_data.labels[self.labelled]
        self.order = SampleOrder(labels, config.loop.batch_size, seed, config.class_balance)
        self.own = stepper.own(config.loop.batch_size)
        self.read = Lookahead(self._read, workers)
        optimizer = torch.optim.AdamW(model.parameters(), config.loop.learning_rate, weight_decay=config.weight_decay)
        self.network, self.optimizer = stepper.prepare(model, optimizer)

    def train_step(self, step: int, learning_rate: float, random: torch.Generator) -> dict[str, float]:
        labels = torch.from_numpy(self.train_data.labels[self.labelled[self.order.indices(step)]])
        whole = draw_augmentation(len(labels), self.config, random) | {"labels": labels}
        draws = {name: value[self.own] for name, value in whole.items()} | {"x": self.read(step)}
        # Dropout draws from the global stream, which therefore starts from this step's own.
        torch.manual_seed(int(torch.randint(2**31, (), generator=random)) + self.stepper.rank)
        self.model.train()
        return self.stepper.descend(self.network, self.optimizer, draws, self._loss, learning_rate)

    def validate(self) -> dict[str, float]:
        """Accuracy, mean recall over the classes seen, negative log-likelihood and calibration error."""
        return measure(*predict(self.model, self.val_data, self.stepper.device))

    def score(self, validation: Mapping[str, float]) -> float:
        return -validation["val_mean_recall"]

    def pictures(self) -> Mapping[str, NDArray[np.uint8]]:
        return {}

    def samples(self, step: int) -> str:
        return ", ".join(self.train_data.keys[i] for i in self.labelled[self.order.indices(step)])

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _read(self, step: int) -> Tensor:
        return to_model_range(self.train_data.batch(self.labelled[self.order.indices(step)[self.own]]))

    def _loss(self, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        on = self.stepper.to_device(draws)
        logits = self.network(augment(on["x"], on).contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits.float(), on["labels"], label_smoothing=self.config.label_smoothing)
        return loss, {"loss": loss, "accuracy": (logits.argmax(1) == on["labels"]).float().mean()}


@torch.no_grad()
def predict(model: EmotionClassifier, data: ShardDataset, device: str) -> tuple[NDArray[np.int64], Tensor]:
    """Labels (N,) and logits (N, 8) of the labelled samples."""
    model.eval()
    labelled = np.flatnonzero(data.labels != UNLABELLED)
    chunks = np.array_split(labelled, max(1, len(labelled) // 64))
    logits = [model(to_model_range(data.batch(indices)).to(device)).float().cpu() for indices in chunks]
    return data.labels[labelled], torch.cat(logits)


def measure(labels: NDArray[np.int64], logits: Tensor) -> dict[str, float]:
    """What a row of the history says of predictions."""
    confusion = confusion_matrix(labels, logits)
    seen = confusion.sum(axis=1) > 0
    recall = confusion.diagonal()[seen] / confusion.sum(axis=1)[seen]
    return {
        "val_accuracy": float(confusion.trace() / confusion.sum()),
        "val_mean_recall": float(recall.mean()),
        "val_nll": float(F.cross_entropy(logits, torch.from_numpy(labels))),
        "val_calibration_error": calibration_error(labels, logits),
    }


def confusion_matrix(labels: NDArray[np.int64], logits: Tensor) -> NDArray[np.int64]:
    """Counts (true class, predicted class), both in the order of ``EMOTIONS``."""
    confusion = np.zeros((len(EMOTIONS), len(EMOTIONS)), dtype=np.int64)
    np.add.at(confusion, (labels, logits.argmax(1).numpy()), 1)
    return confusion


def draw_augmentation(count: int, config: EmotionConfig, random: torch.Generator) -> Draws:
    """What ``augment`` does to each of ``count`` pictures."""
    shift = (torch.rand(count, 2, generator=random) * 2 - 1) * 2 * config.max_shift
    zoom = 1 + (torch.rand(count, generator=random) * 2 - 1) * config.max_shift
    affine = torch.zeros(count, 2, 3)
    affine[:, 0, 0] = affine[:, 1, 1] = zoom
    affine[:, :, 2] = shift
    gain, bias = ((torch.rand(2, count, generator=random) * 2 - 1) * config.max_gain).unbind(0)
    flip, grey = torch.rand(2, count, generator=random).unbind(0)
    return {"affine": affine, "gain": 1 + gain, "bias": bias, "flip": flip < 0.5, "grey": grey < 0.2}


def augment(x_BCHW: Tensor, draws: Draws) -> Tensor:
    """Flip, shift, scale brightness and contrast, and sometimes drop colour; pictures in -1..1 in and out."""
    flip, grey, gain, bias = (draws[name].view(-1, 1, 1, 1) for name in ("flip", "grey", "gain", "bias"))
    x_BCHW = torch.where(flip, x_BCHW.flip(3), x_BCHW)
    grid = F.affine_grid(draws["affine"], list(x_BCHW.shape), align_corners=False)
    x_BCHW = F.grid_sample(x_BCHW, grid, padding_mode="reflection", align_corners=False)
    x_BCHW = torch.where(grey, x_BCHW.mean(dim=1, keepdim=True), x_BCHW)
    return (x_BCHW * gain + bias).clamp(-1, 1)
