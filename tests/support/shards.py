"""Small shards artifacts made of rendered pictures, for tests of what trains on them."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import webdataset
from PIL import Image

from stages.common.config import StageConfig
from stages.common.engine import execute
from stages.common.expressions import EXPRESSION_SCHEMA, EXPRESSIONS_NAME
from stages.common.face.embedder import EMBEDDING_SIZE
from stages.common.face.expression import COEFFICIENTS, POINT_COUNT
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.shard.config import ShardConfig
from stages.shard.run import SHARD

COUNTS = {"train": {"neutral": 8, "happy": 6, "sad": 2}, "val": {"neutral": 3, "happy": 2}, "test": {"happy": 2}}


class RenderConfig(StageConfig):
    size_px: int = 32
    expressions: bool = False


def _render(size_px: int, seed: int) -> Image.Image:
    """A smooth coloured gradient with a dark disc; different for every seed."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:size_px, 0:size_px] / size_px
    colours = random.uniform(0.3, 1, (3, 3))
    picture = colours[0] + x[..., None] * (colours[1] - colours[0]) + y[..., None] * (colours[2] - colours[0])
    centre = random.uniform(0.3, 0.7, 2)
    picture[np.hypot(x - centre[0], y - centre[1]) < 0.2] *= 0.2
    return Image.fromarray((picture.clip(0, 1) * 255).astype(np.uint8))


def _run(config: RenderConfig, _inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    (context.out / "faces").mkdir(exist_ok=True)
    rows = []
    for split, classes in COUNTS.items():
        for emotion, count in classes.items():
            for number in range(count):
                key = f"{split}_{emotion}_{number}"
                _render(config.size_px, len(rows)).save(context.out / "faces" / f"{key}.jpg", quality=95, subsampling=0)
                rows.append(
                    {
                        "sample_key": key,
                        "emotion": emotion,
                        "identity": key,
                        "split": split,
                        "status": "ok",
                        "face_path": f"faces/{key}.jpg",
                    }
                )
    pq.write_table(pa.Table.from_pylist(rows), context.out / "faces.parquet")
    if config.expressions:
        _write_expressions([row["sample_key"] for row in rows], config.size_px, context.out)
    return ArtifactDraft(Counts(total=len(rows), ok=len(rows)))


def _write_expressions(keys: list[str], size_px: int, out: Path) -> None:
    """Faces of random points; the last of them all has no expression."""
    random = np.random.default_rng(0)
    mean = random.uniform(0.2, 0.8, (POINT_COUNT, 3))
    rows = [
        {
            "sample_key": key,
            "points": ((mean + random.normal(0, 0.02, mean.shape)) * size_px).ravel().tolist(),
            "coefficients": random.uniform(0, 1, len(COEFFICIENTS)).tolist(),
            "identity_embedding": random.normal(0, 0.1, EMBEDDING_SIZE).tolist(),
        }
        for key in keys
    ]
    rows[-1] |= {"points": None, "coefficients": None}
    pq.write_table(pa.Table.from_pylist(rows, schema=EXPRESSION_SCHEMA), out / EXPRESSIONS_NAME)


_RENDER = StageSpec("render", 1, RenderConfig, {}, ArtifactKind.FACES, _run)


def make_shards(folder: Path, size_px: int = 32, samples_per_shard: int = 5, *, expressions: bool = False) -> Artifact:
    """Faces and their shards below ``folder``; the counts of ``COUNTS``."""
    faces = execute(_RENDER, RenderConfig(size_px=size_px, expressions=expressions), {}, folder / "faces")
    return execute(SHARD, ShardConfig(samples_per_shard=samples_per_shard), {"faces": faces}, folder / "shards")


def read_webdataset(urls: list[str], decode: str | None = "rgb8") -> list[dict]:
    """The samples of tars as WebDataset reads them, decoded or as bytes."""
    with warnings.catch_warnings():
        # webdataset leaves closing its files to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        dataset = webdataset.WebDataset(urls, shardshuffle=False)
        samples = list(dataset.decode(decode) if decode else dataset)
        gc.collect()
    return samples
