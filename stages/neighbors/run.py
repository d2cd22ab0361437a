"""The training pictures nearest to each sample, and whether samples lie suspiciously near (thesis 4.3.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from stages.common.errors import BadInputError, Interrupted
from stages.common.images import read_rgb
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.pictures import lay_out, write_png
from stages.common.progress import Task
from stages.common.provenance import COMPOSITE, describe_tool
from stages.common.shards import ShardDataset
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.tensors import to_model_range
from stages.models.nearest import NearestNeighbors
from stages.neighbors.config import NeighborsConfig
from stages.neighbors.features import Features, load_features

TABLE_NAME = "neighbors.parquet"
_BLOCK, _QUERIES_MOST, _ROWS_SHOWN = 256, 2048, 16


def run(config: NeighborsConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Search every space for the samples and for held-out real pictures, which are never trained on."""
    samples = inputs["samples"]
    paths: list[str] = pq.read_table(samples.path("samples.parquet"), columns=["path"])["path"].to_pylist()
    train, held_out = ShardDataset(inputs["data"], config.split), ShardDataset(inputs["data"], config.held_out)
    if len(train) < config.k:
        raise BadInputError(f"{inputs['data'].root} has {len(train)} {config.split} pictures, fewer than {config.k}")

    def query(number: int) -> NDArray[np.uint8]:
        if number >= len(paths):
            return held_out[number - len(paths)]
        return _check_shape(read_rgb(samples.path(paths[number])), train[0].shape)

    total = len(paths) + min(len(held_out), config.held_out_most)
    rows: list[dict[str, Any]] = []
    metrics: dict[str, Any] = {}
    for space in config.spaces:
        name, features = load_features(space, config, context.device)
        queries = _blocks(total, _QUERIES_MOST)
        with context.progress.task(space, len(train) * len(queries)) as task:
            search = _Search(features, query, train, config.k, context)
            found = [search(block, task) for block in queries]
        distances, indices = (np.concatenate(part) for part in zip(*found, strict=True))
        real_distances, distances, indices = distances[len(paths) :], distances[: len(paths)], indices[: len(paths)]
        metrics[space] = {"features": name, **memorisation(distances, real_distances, config.copy_ratio)}
        rows += _rows(space, paths, train.keys, distances, indices)
        shown = range(min(len(paths), _ROWS_SHOWN))
        tiles = [tile for i in shown for tile in (query(i), *(train[int(j)] for j in indices[i]))]
        record = {**describe_tool(), "stage": "neighbors", "space": space, "samples": samples.manifest.artifact_id}
        write_png(context.out / f"{space}.png", lay_out(tiles, config.k + 1), record, COMPOSITE)
    pq.write_table(pa.Table.from_pylist(rows), context.out / TABLE_NAME)
    return ArtifactDraft(Counts(total=len(paths), ok=len(paths)), metrics, {TABLE_NAME: len(rows)})


NEIGHBORS = StageSpec(
    "neighbors",
    1,
    NeighborsConfig,
    {"samples": ArtifactKind.SAMPLES, "data": ArtifactKind.SHARDS},
    ArtifactKind.NEIGHBORS,
    run,
)


def memorisation(
    distances_Nk: NDArray[np.float32], real_distances_Nk: NDArray[np.float32], copy_ratio: float
) -> dict[str, float]:
    """How samples compare with real pictures that were not trained on, by distances to training pictures.

    A copy's nearest neighbour is far nearer than its k-th: ``ratio`` is the median of the one over the other,
    ``copies`` the share where it lies below ``copy_ratio``. ``nearest`` is the median distance to the nearest; well
    below that of real pictures, it also says that training pictures come back.
    """
    values: dict[str, float] = {}
    for prefix, distances in (("", distances_Nk), ("real_", real_distances_Nk)):
        ratios = distances[:, 0] / np.maximum(distances[:, -1], np.finfo(np.float32).tiny)
        values[f"{prefix}nearest"] = float(np.median(distances[:, 0]))
        values[f"{prefix}ratio"] = float(np.median(ratios))
        values[f"{prefix}copies"] = float(np.mean(ratios < copy_ratio))
    return values


@dataclass(frozen=True, slots=True)
class _Search:
    """A search of all training pictures, block by block."""

    features: Features
    query: Callable[[int], NDArray[np.uint8]]
    train: ShardDataset
    k: int
    context: RunContext

    def __call__(self, queries: range, task: Task) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Distances and indices (N, k) of a range of queries."""
        blocks = _blocks(len(queries), _BLOCK, queries.start)
        nearest = NearestNeighbors(
            torch.cat([self._points([self.query(i) for i in block]) for block in blocks]), self.k
        )
        for block in _blocks(len(self.train), _BLOCK):
            if self.context.should_stop():
                raise Interrupted("stopped", "Give the same command again to start over")
            nearest.add(self._points(list(self.train.batch(block))), block.start)
            task.advance(len(block))
        return nearest.distances.cpu().numpy(), nearest.indices.cpu().numpy()

    def _points(self, pictures: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
        return self.features(to_model_range(pictures).to(self.context.device))


def _check_shape(picture: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if picture.shape != shape:
        raise BadInputError(f"samples have the shape {picture.shape}, training pictures {shape}")
    return picture


def _blocks(count: int, size: int, start: int = 0) -> list[range]:
    return [range(first, min(first + size, start + count)) for first in range(start, start + count, size)]


def _rows(
    space: str, paths: Sequence[str], keys: Sequence[str], distances: NDArray[Any], indices: NDArray[Any]
) -> Iterator[dict[str, Any]]:
    for path, row_distances, row_indices in zip(paths, distances.tolist(), indices.tolist(), strict=True):
        for rank, (distance, index) in enumerate(zip(row_distances, row_indices, strict=True), start=1):
            yield {"space": space, "path": path, "rank": rank, "sample_key": keys[index], "distance": distance}
