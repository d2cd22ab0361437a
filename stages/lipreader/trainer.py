"""One step of the lip reader's training, and the error rates on clips that it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from stages.common.training.lookahead import Lookahead
from stages.common.training.order import SampleOrder
from stages.common.training.stepper import Stepper
from stages.lipreader.batches import IGNORED, Spoken, centre, draw_clip, join_spans
from stages.lipreader.config import LipReaderTrainConfig
from stages.lipreader.mouths import MouthData
from stages.lipreader.spans import span_words
from stages.models.lip_reader import LipReader
from stages.models.mouth_crop import normalize_mouths
from stages.models.text_units import BLANK, collapse, join_units

_SPAN_STREAM, _CLIP_STREAM = 2, 3


class LipReaderTrainer:
    """Implements ``stages.common.training.loop.Trainee`` for a ``LipReader``."""

    def __init__(
        self,
        model: LipReader,
        config: LipReaderTrainConfig,
        data: tuple[MouthData, MouthData],
        *,
        stepper: Stepper,
        seed: int,
        workers: int = 1,
    ) -> None:
        self.model = model
        self.config = config
        self.stepper = stepper
        self.seed = seed
        self.train_data, self.val_data = data
        self.order = SampleOrder(np.zeros(len(self.train_data), dtype=np.int64), config.loop.batch_size, seed)
        self.own = stepper.own(config.loop.batch_size)
        self.read = Lookahead(self._read, workers)
        stepper.place(model)
        optimizer = torch.optim.AdamW(
            model.parameters(), config.loop.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.network, self.optimizer = stepper.prepare(model, optimizer)

    def train_step(self, step: int, learning_rate: float, random: torch.Generator) -> dict[str, float]:
        clips = self.read(step)
        # Dropout draws from the global stream, which therefore starts from this step's own.
        torch.manual_seed(int(torch.randint(2**31, (), generator=random)) + self.stepper.rank)
        self.model.train()
        return self.stepper.descend(
            self.network,
            self.optimizer,
            {"clips": torch.arange(len(clips))},
            lambda draws: self._loss([clips[int(number)] for number in draws["clips"]]),
            learning_rate,
        )

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Word and character error rates of the best path of CTC, each clip read alone."""
        import jiwer

        self.model.eval()
        said = [fact["text"] for fact in self.val_data.facts]
        read = [self._best_path(index) for index in range(len(self.val_data))]
        return {"val_wer": jiwer.wer(said, read), "val_cer": jiwer.cer(said, read)}

    def score(self, validation: Mapping[str, float]) -> float:
        return validation["val_cer"]

    def pictures(self) -> Mapping[str, NDArray[np.uint8]]:
        return {}

    def samples(self, step: int) -> str:
        return ", ".join(self.train_data.keys[index] for index in self.order.indices(step))

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _read(self, step: int) -> list[list[Spoken]]:
        """The spans of each of this process's clips."""
        words = span_words(
            step / self.config.loop.steps,
            self.config.spans_until,
            self.config.longest_span,
            np.random.default_rng([self.seed, step, _SPAN_STREAM]),
        )
        chosen = list(enumerate(self.order.indices(step)))[self.own]
        return [
            draw_clip(
                self.train_data,
                int(index),
                self.model.config.units,
                self.config,
                words=words,
                random=np.random.default_rng([self.seed, step, _CLIP_STREAM, number]),
            )
            for number, index in chosen
        ]

    def _loss(self, clips: list[list[Spoken]]) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean over clips of the losses by unit of text."""
        batch = join_spans([span for clip in clips for span in clip])
        device, edge = self.stepper.device, self.model.config.edge
        lengths, texts, weights = (part.to(device) for part in (batch.lengths, batch.texts, batch.weights / len(clips)))
        starts = F.pad(texts.clamp_min(BLANK), (1, 0), value=edge)
        mouths = normalize_mouths(batch.mouths.to(device).float() / 255)
        ctc_logits, next_logits = self.network(mouths, lengths, starts)
        said = texts != IGNORED
        ctc_B = F.ctc_loss(
            ctc_logits.float().log_softmax(dim=-1).transpose(0, 1),
            texts.clamp_min(BLANK),
            lengths,
            said.sum(dim=1),
            blank=BLANK,
            reduction="none",
            zero_infinity=True,
        )
        targets = F.pad(texts, (0, 1), value=IGNORED)
        targets[torch.arange(len(targets)), said.sum(dim=1)] = edge
        entropy_BL = F.cross_entropy(
            next_logits.float().mT,
            targets,
            ignore_index=IGNORED,
            reduction="none",
            label_smoothing=self.config.label_smoothing,
        )
        ctc, attention = (weights * ctc_B).sum(), (weights * entropy_BL.sum(dim=1)).sum()
        loss = self.config.ctc_weight * ctc + (1 - self.config.ctc_weight) * attention
        return loss, {"loss": loss, "ctc": ctc, "attention": attention}

    def _best_path(self, index: int) -> str:
        mouths = torch.from_numpy(centre(self.val_data.mouths(index)))[None].to(self.stepper.device)
        lengths = torch.tensor([mouths.shape[1]], device=self.stepper.device)
        with self.stepper.autocast():
            features = self.model.features(normalize_mouths(mouths.float() / 255), lengths)
            path = self.model.ctc_logits(features)[0].argmax(dim=1)
        return join_units(collapse(path.tolist()), self.model.config.units)
