"""Small clips artifacts of a drawn mouth that opens with the loudness of the sound, for what trains on clips."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.common.clip_sample import SUFFIXES, ClipSample, encode_sample
from stages.common.config import StageConfig
from stages.common.engine import execute
from stages.common.images import encode_jpeg
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.shards import INDEX_NAME
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.tar import member_places, write_tar

CLIPS = {"train": ("happy", None, "happy"), "val": ("happy", None), "test": (None,)}
FRAMES = 5
_RATE_HZ = 16_000


class DrawConfig(StageConfig):
    size_px: int = 32
    fps: float = 25.0
    other_fps: float | None = None


def make_clips(folder: Path, **fields: float) -> Artifact:
    """Clips of 5 frames below ``folder``; their splits and emotions are those of ``CLIPS``."""
    return execute(_DRAW, DrawConfig(**fields), {}, folder)


def draw(size_px: int, opening: float, skin: float) -> tuple[np.ndarray, np.ndarray]:
    """A frame, and landmarks (68, 2) of which the first mouth point is the topmost of the mouth."""
    y, x = np.mgrid[0:size_px, 0:size_px] / size_px
    frame = np.stack([skin + 40 * y, 0.7 * skin + 0 * y, 0.5 * skin + 30 * x], axis=-1)
    height = 0.04 + 0.1 * opening
    mouth = np.hypot((x - 0.5) / 0.2, (y - 0.7) / height) < 1
    frame[mouth] = (150, 30, 40)
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    points = np.full((68, 2), 0.5)
    points[:48, 1] = np.linspace(0.2, 0.6, 48)
    points[48:] = np.stack([0.5 + 0.2 * np.sin(angle), 0.7 - height * np.cos(angle)], axis=1)
    return frame.clip(0, 255).astype(np.uint8), (points * size_px).astype(np.float32)


def _sample(config: DrawConfig, number: int, emotion: str | None, fps: float) -> ClipSample:
    random = np.random.default_rng(number)
    openings = random.uniform(0, 1, FRAMES)
    skin = random.uniform(120, 220)
    drawn = [draw(config.size_px, opening, skin) for opening in openings]
    loudness = np.repeat(openings, int(_RATE_HZ / fps))
    sound = loudness * np.sin(np.arange(len(loudness)) / 5) * 0.5
    facts = {"text": "bin blue", "words": [], "fps": fps, "emotion": emotion, "interpolated": []}
    return ClipSample(
        [encode_jpeg(frame, 95) for frame, _ in drawn],
        np.stack([points for _, points in drawn]),
        sound.astype(np.float32),
        facts,
    )


def _run(config: DrawConfig, _inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    rows, number = [], 0
    for split, emotions in CLIPS.items():
        members: list[tuple[str, bytes]] = []
        keys = {}
        for emotion in emotions:
            key = f"{split}_{number}"
            fps = config.other_fps if config.other_fps and number == 1 else config.fps
            members += [(f"{key}.{s}", c) for s, c in encode_sample(_sample(config, number, emotion, fps)).items()]
            keys[key] = emotion
            number += 1
        shard = f"{split}-000000.tar"
        write_tar(context.out / shard, iter(members))
        places = member_places(context.out / shard)
        for key, emotion in keys.items():
            row = {"sample_key": key, "split": split, "emotion": emotion, "identity": "s1", "shard": shard}
            row["frames"] = FRAMES
            for suffix in SUFFIXES:
                row[f"{suffix}_offset"], row[f"{suffix}_size"] = places[f"{key}.{suffix}"]
            rows.append(row)
    pq.write_table(pa.Table.from_pylist(rows), context.out / INDEX_NAME)
    return ArtifactDraft(Counts(total=len(rows), ok=len(rows)))


_DRAW = StageSpec("draw", 1, DrawConfig, {}, ArtifactKind.CLIPS, _run)
