"""What a lip reader reads off a clip."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.common.errors import MissingModelError
from stages.common.lip_reader_checkpoint import load_lip_reader
from stages.common.manifest import Artifact, ArtifactKind
from stages.common.tensors import to_model_range
from stages.common.weights import resolve_model
from stages.models.beam_search import beam_search
from stages.models.lip_reader import LipReader
from stages.models.mouth_crop import CROP_PX, crop_mouths, normalize_mouths
from stages.models.text_units import join_units


class LipReaderExpert:
    """A trained lip reader, frozen, that reads clips one by one.

    Texts are those of the highest joint score of CTC, with ``ctc_weight``, and of the decoder, plus ``length_bonus``
    for each unit, that a beam of ``beam_size`` finds.
    """

    def __init__(
        self,
        model: LipReader,
        device: str = "cpu",
        *,
        beam_size: int = 10,
        ctc_weight: float = 0.3,
        length_bonus: float = 0.5,
    ) -> None:
        self.model = model
        self.device = device
        self.beam_size = beam_size
        self.ctc_weight = ctc_weight
        self.length_bonus = length_bonus

    @classmethod
    def open(cls, artifact: Artifact, device: str = "cpu") -> LipReaderExpert:
        """The reader in the folder of ``artifact``. Raises ``MissingModelError``."""
        return cls(load_lip_reader(artifact.root, device), device)

    @torch.no_grad()
    def read(self, frames: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> str:
        """The words on the lips of frames (T, H, W, 3) RGB with landmarks (T, 68, 2) in their pixels."""
        features = self.features(frames, landmarks)
        lengths = torch.tensor([len(features)], device=self.device)

        def next_scores(texts_KL: Tensor) -> Tensor:
            same = features.expand(len(texts_KL), -1, -1)
            return self.model.next_logits(texts_KL, same, lengths.expand(len(texts_KL)))[:, -1].log_softmax(dim=-1)

        ctc_TV = self.model.ctc_logits(features).log_softmax(dim=-1)
        classes = beam_search(
            ctc_TV,
            next_scores,
            beam_size=self.beam_size,
            ctc_weight=self.ctc_weight,
            length_bonus=self.length_bonus,
        )
        return join_units(classes, self.model.config.units)

    @torch.no_grad()
    def features(self, frames: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> Tensor:
        """What the conformer says of each frame (T, D)."""
        mouths = normalize_mouths(cut_mouths(frames, landmarks))[None].to(self.device)
        features: Tensor = self.model.features(mouths, torch.tensor([len(frames)], device=self.device))[0]
        return features


def find_lip_reader(name_or_dir: str) -> Artifact:
    """The checked lip reader of the store or of a folder. Raises ``MissingModelError``, also for another kind."""
    artifact = resolve_model(name_or_dir)
    if artifact.manifest.kind is not ArtifactKind.LIP_READER:
        raise MissingModelError(
            f"{name_or_dir} holds {artifact.manifest.kind.value}, which cannot read",
            "Give what `train lipreader` wrote",
        )
    return artifact


def cut_mouths(frames: NDArray[np.uint8], landmarks: NDArray[np.float32], side_px: int = CROP_PX) -> Tensor:
    """Pictures (T, H, W, 3) RGB and landmarks (T, 68, 2) in their pixels to grey mouths 0..1 (T, S, S)."""
    return crop_mouths(to_model_range(frames)[None], torch.from_numpy(landmarks)[None], side_px)[0]
