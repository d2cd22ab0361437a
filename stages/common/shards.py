"""Random access to the samples of a shards artifact: plain tars (WebDataset reads them too) and an index of offsets."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from pyarrow import ArrowInvalid

from stages.common.emotions import EMOTIONS
from stages.common.errors import BadInputError
from stages.common.expressions import EXPRESSIONS_NAME, Expressions, read_expressions
from stages.common.manifest import Artifact, Counts

INDEX_NAME = "index.parquet"
UNLABELLED = -1


class ShardFiles:
    """The members of one split's samples: ``table`` holds the columns of its index.

    Raises ``BadInputError`` when the split is empty or a file is missing or damaged.
    """

    def __init__(self, artifact: Artifact, split: str) -> None:
        self._root = artifact.root
        self._files: list[int] = []
        with self.undamaged():
            self.table = pq.read_table(artifact.path(INDEX_NAME), filters=[("split", "=", split)]).to_pydict()
        if not self.table["sample_key"]:
            raise BadInputError(f"{artifact.root} has no samples in the split {split!r}")
        names = sorted(set(self.table["shard"]))
        self._shard_of = [names.index(name) for name in self.table["shard"]]
        with self.undamaged():
            self._files.extend(os.open(artifact.path(name), os.O_RDONLY) for name in names)

    def read(self, index: int, member: str = "") -> bytes:
        """A sample's only file, or the one with this suffix, as it lies in its shard."""
        prefix = f"{member}_" if member else ""
        offset, size = self.table[f"{prefix}offset"][index], self.table[f"{prefix}size"][index]
        with self.undamaged():
            content = os.pread(self._files[self._shard_of[index]], size, offset)
            if len(content) < size:
                raise OSError(f"{self.table['shard'][index]} is cut off")
        return content

    @contextmanager
    def undamaged(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ArrowInvalid) as error:
            raise BadInputError(
                f"the shards in {self._root} are not as they were written: {error}", "See `facediff manifest verify`"
            ) from error

    def __del__(self) -> None:
        for descriptor in getattr(self, "_files", []):
            os.close(descriptor)


class ShardDataset:
    """One split of a shards artifact.

    ``labels`` holds class indices (N,) in the order of ``EMOTIONS``, ``UNLABELLED`` where there is none.
    Raises ``BadInputError`` when the split is empty or a file is missing or damaged.
    """

    def __init__(self, artifact: Artifact, split: str) -> None:
        self._shards = ShardFiles(artifact, split)
        table = self._shards.table
        self.keys: list[str] = table["sample_key"]
        self.identities: list[str | None] = table["identity"]
        self.labels = class_indices(table["emotion"])
        self._expressions = artifact.path(EXPRESSIONS_NAME)

    def expressions(self) -> Expressions:
        """What is known of the faces' expressions. Raises ``BadInputError`` when they were not measured."""
        return read_expressions(self._expressions, self.keys)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """The decoded picture, (H, W, 3) RGB."""
        with self._shards.undamaged():
            return np.asarray(Image.open(io.BytesIO(self.encoded(index))).convert("RGB"))

    def encoded(self, index: int) -> bytes:
        """The picture's file as it lies in its shard."""
        return self._shards.read(index)

    def batch(self, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pictures (B, H, W, 3) of one size."""
        return np.stack([self[int(i)] for i in indices])


def class_indices(emotions: Sequence[str | None]) -> NDArray[np.int64]:
    """Indices into ``EMOTIONS``, ``UNLABELLED`` for None."""
    return np.array([EMOTIONS.index(emotion) if emotion else UNLABELLED for emotion in emotions])


def require_labels(*splits: ShardDataset) -> None:
    """Raises ``BadInputError`` when a split has no emotion label at all."""
    if any((split.labels == UNLABELLED).all() for split in splits):
        raise BadInputError("no sample of a split has an emotion label", "Give `preprocess` a table with --labels")


def count_labelled(data: ShardDataset) -> Counts:
    """The counts of a training on the labelled samples alone."""
    unlabelled = int((data.labels == UNLABELLED).sum())
    rejected = {"unlabelled": unlabelled} if unlabelled else {}
    return Counts(total=len(data), ok=len(data) - unlabelled, rejected_by_reason=rejected)
