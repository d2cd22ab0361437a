"""The faces that an evaluation takes: one split of shards, or of the faces before they were packed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.common.emotions import EMOTIONS
from stages.common.errors import BadInputError
from stages.common.images import read_rgb
from stages.common.manifest import Artifact, ArtifactKind
from stages.common.shards import UNLABELLED, ShardDataset

FACES_TABLE = "faces.parquet"
DATA_ROLES = {"shards": ArtifactKind.SHARDS, "faces": ArtifactKind.FACES}
"""An evaluation has one input in one of these roles."""


class LabelledFaces(Protocol):
    """Random access to aligned faces (H, W, 3); ``labels`` (N,) index ``EMOTIONS``, ``UNLABELLED`` where unknown."""

    keys: list[str]
    labels: NDArray[np.int64]

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...


class FaceFiles:
    """One split of a faces artifact. Raises ``BadInputError`` when it has no accepted face."""

    def __init__(self, artifact: Artifact, split: str) -> None:
        columns = ["sample_key", "emotion", "face_path"]
        table = pq.read_table(
            artifact.path(FACES_TABLE), columns=columns, filters=[("split", "=", split), ("status", "=", "ok")]
        ).to_pydict()
        if not table["sample_key"]:
            raise BadInputError(f"{artifact.root} has no accepted faces in the split {split!r}")
        self.keys: list[str] = table["sample_key"]
        self.labels = np.array([EMOTIONS.index(e) if e else UNLABELLED for e in table["emotion"]])
        self._paths = [artifact.path(path) for path in table["face_path"]]

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return read_rgb(self._paths[index])


def data_of(inputs: Mapping[str, Artifact]) -> Artifact:
    """The input in one of ``DATA_ROLES``."""
    return next(inputs[role] for role in DATA_ROLES if role in inputs)


def model_of(inputs: Mapping[str, Artifact]) -> Artifact:
    """The input with a model's networks, in whatever role."""
    return next(artifact for role, artifact in inputs.items() if role not in DATA_ROLES)


def open_faces(inputs: Mapping[str, Artifact], split: str) -> LabelledFaces:
    """One split of the input in one of ``DATA_ROLES``."""
    return ShardDataset(inputs["shards"], split) if "shards" in inputs else FaceFiles(inputs["faces"], split)


def choose(keys: Sequence[str], limit: int | None) -> list[int]:
    """Indices of the first ``limit`` keys in order of their SHA-256, so that the choice does not depend on theirs."""
    order = sorted(range(len(keys)), key=lambda i: (hashlib.sha256(keys[i].encode()).digest(), keys[i]))
    return order[:limit]


def batches(indices: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (indices[start : start + size] for start in range(0, len(indices), size))


def read_batch(faces: LabelledFaces, indices: Sequence[int], size_px: int) -> NDArray[np.uint8]:
    """Faces (B, H, W, 3). Raises ``BadInputError`` for one that is not ``size_px`` wide and high."""
    pictures = [faces[i] for i in indices]
    for index, picture in zip(indices, pictures, strict=True):
        if picture.shape[:2] != (size_px, size_px):
            height, width = picture.shape[:2]
            raise BadInputError(
                f"{faces.keys[index]} is {width} x {height}, the model takes {size_px} x {size_px}",
                "Preprocess the photos with that size_px",
            )
    return np.stack(pictures)
