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
from stages.common.expressions import EXPRESSIONS_NAME
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.shard.config import ShardConfig
from stages.shard.run import SHARD
from support.expressions import write_expressions

COUNTS = {"train": {"neutral": 8, "happy": 6, "sad": 2}, "val": {"neutral": 3, "happy": 2}, "test": {"happy": 2}}


class RenderConfig(StageConfig):
    size_px: int = 32
    expression: bool = False


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
    if config.expression:
        write_expressions(context.out / EXPRESSIONS_NAME, [row["sample_key"] for row in rows], config.size_px)
    return ArtifactDraft(Counts(total=len(rows), ok=len(rows)))


_RENDER = StageSpec("render", 1, RenderConfig, {}, ArtifactKind.FACES, _run)


def make_shards(folder: Path, size_px: int = 32, samples_per_shard: int = 5, expression: bool = False) -> Artifact:
    """Faces and their shards below ``folder``, with made-up expressions if wanted; the counts of ``COUNTS``."""
    faces = execute(_RENDER, RenderConfig(size_px=size_px, expression=expression), {}, folder / "faces")
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
