"""The clips stage: videos of talking people in, shards of face crops with landmarks, sound and text out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.clips.config import ClipsConfig, settle
from stages.clips.maker import ClipMaker, ClipRow
from stages.clips.sources import NOT_LISTED, Clip, Clips
from stages.common.chunks import Chunk, Worker, run_chunks, table_path
from stages.common.clip_sample import SUFFIXES
from stages.common.containment import note_bugs
from stages.common.errors import BadInputError
from stages.common.face.detect import load_detector
from stages.common.hashing import hash_json
from stages.common.manifest import Artifact, ArtifactKind, write_atomically
from stages.common.samples import OK, count_statuses, sample_key
from stages.common.shards import INDEX_NAME
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.tables import read_parquet, to_parquet
from stages.common.tar import member_places, open_tar, read_tar, write_tar

TABLE_NAME = "clips.parquet"
DUPLICATE = "duplicate"
SCHEMA = pa.schema(
    [
        pa.field("sample_key", pa.string(), nullable=False),
        pa.field("source_path", pa.string(), nullable=False),
        pa.field("source_sha256", pa.string(), nullable=False),
        pa.field("text", pa.string()),
        pa.field("emotion", pa.string()),
        pa.field("level", pa.int64()),
        pa.field("identity", pa.string()),
        pa.field("split", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("shard", pa.string()),
        pa.field("frames", pa.int64()),
        pa.field("box", pa.list_(pa.float64())),
        pa.field("interpolated", pa.int64()),
        pa.field("damaged", pa.int64()),
        pa.field("silence_s", pa.float64()),
        pa.field("detector", pa.string(), nullable=False),
    ]
)
_LABELS = ("sample_key", "split", "emotion", "identity", "shard", "frames")
_INDEX_SCHEMA = pa.schema(
    [SCHEMA.field(name) for name in _LABELS]
    + [pa.field(f"{suffix}_{what}", pa.int64()) for suffix in SUFFIXES for what in ("offset", "size")]
)
_ASKED_FOR = frozenset({NOT_LISTED})


def run(config: ClipsConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Write ``clips.parquet``, a tar for each shard with accepted clips, and the index of their members.

    Raises ``TooManyRejectedError`` or ``Interrupted``.
    """
    source = inputs["clips"]
    if not isinstance(source, Clips):
        raise BadInputError("the clips stage reads clips, not the output of another stage")
    settled, reason = settle(config, source, fetch=True)
    if config.detector == "auto":
        context.progress.note(reason)
    config = settled
    chunks = _plan_shards(source.clips[: config.limit], config.clips_per_shard, context.seed)
    run_chunks(partial(_start, config, source.root, context.out, context.device), chunks, context, "clips")
    return _merge(config, context, chunks)


CLIPS = StageSpec("clips", 1, ClipsConfig, {"clips": ArtifactKind.SOURCE}, ArtifactKind.CLIPS, run)


def _plan_shards(clips: tuple[Clip, ...], size: int, seed: int) -> list[Chunk[Clip]]:
    """Chunks of one split each, in an order that mixes people; a shard holds what is accepted of its chunk."""
    ordered = sorted(clips, key=lambda clip: (clip.split, hash_json([seed, sample_key(clip.source_path)])))
    shards = []
    for split, group in groupby(ordered, key=lambda clip: clip.split):
        members = tuple(group)
        for number, start in enumerate(range(0, len(members), size)):
            shards.append(Chunk(f"{split}-{number:06d}", members[start : start + size]))
    return shards


def _start(config: ClipsConfig, root: Path, out: Path, device: str) -> Worker[Clip]:
    return partial(_make_chunk, ClipMaker(config, root, load_detector(config.detector, device)), out)


def _make_chunk(maker: ClipMaker, out: Path, chunk: Chunk[Clip]) -> Iterator[None]:
    path = _shard_path(out, chunk.name)
    temporary = path.with_suffix(".tmp")
    rows = []
    with open_tar(temporary) as append:
        for clip in chunk.samples:
            row, members = maker.make(clip)
            for suffix, content in (members or {}).items():
                append(f"{row.sample_key}.{suffix}", content)
            rows.append(row)
            yield
    temporary.replace(path)
    write_atomically(table_path(out, chunk.name), to_parquet(rows, SCHEMA))


def _shard_path(out: Path, name: str) -> Path:
    return out / f"{name}.tar"


def _merge(config: ClipsConfig, context: RunContext, chunks: list[Chunk[Clip]]) -> ArtifactDraft:
    out = context.out
    by_shard = {c.name: [ClipRow(**row) for row in read_parquet(table_path(out, c.name))] for c in chunks}
    rows = sorted((row for members in by_shard.values() for row in members), key=lambda row: row.source_path)
    note_bugs((row.status for row in rows), "clips", context.progress.note)
    duplicates = _reject_duplicates(rows)
    counts = count_statuses((row.status for row in rows), "clips", config.max_rejected, _ASKED_FOR)
    index: list[dict[str, Any]] = []
    counts_by_path = {TABLE_NAME: len(rows)}
    for name, members in by_shard.items():
        path = _shard_path(out, name)
        accepted = [row for row in members if row.status == OK]
        if not accepted:
            path.unlink(missing_ok=True)
            continue
        if any(row.sample_key in duplicates for row in members):
            _leave_out(path, duplicates)
        for row in accepted:
            row.shard = path.name
        index.extend(_index_rows(path, accepted))
        counts_by_path[path.name] = len(accepted)
    (out / TABLE_NAME).write_bytes(to_parquet(rows, SCHEMA))
    pq.write_table(pa.Table.from_pylist(index, schema=_INDEX_SCHEMA), out / INDEX_NAME, compression="zstd")
    return ArtifactDraft(counts, _describe_clips(rows, config), counts_by_path | {INDEX_NAME: len(index)})


def _reject_duplicates(rows: list[ClipRow]) -> set[str]:
    """Of equal files a test clip stays, else a validation clip, else the first: no test clip is trained on.

    Returns the keys of the others.
    """
    seen: set[str] = set()
    duplicates = set()
    for row in sorted(rows, key=lambda row: ("test", "val", "train").index(row.split)):
        if row.status == OK and row.source_sha256 in seen:
            row.status = DUPLICATE
            duplicates.add(row.sample_key)
        seen.add(row.source_sha256)
    return duplicates


def _leave_out(path: Path, keys: set[str]) -> None:
    """Write a shard again without some samples."""
    temporary = path.with_suffix(".tmp")
    write_tar(temporary, ((name, data) for name, data in read_tar(path) if name.split(".")[0] not in keys))
    temporary.replace(path)


def _index_rows(path: Path, rows: list[ClipRow]) -> Iterator[dict[str, Any]]:
    places = member_places(path)
    for row in rows:
        labels = {name: getattr(row, name) for name in _LABELS}
        for suffix in SUFFIXES:
            labels[f"{suffix}_offset"], labels[f"{suffix}_size"] = places[f"{row.sample_key}.{suffix}"]
        yield labels


def _describe_clips(rows: list[ClipRow], config: ClipsConfig) -> dict[str, object]:
    accepted = [row for row in rows if row.status == OK]
    frames = sum(row.frames or 0 for row in accepted)
    return {
        "clips_by_split": dict(sorted(Counter(row.split for row in accepted).items())),
        "clips_by_emotion": dict(sorted(Counter(row.emotion or "unlabelled" for row in accepted).items())),
        "frames": frames,
        "minutes": round(frames / (config.fps or 1) / 60, 3),
        "frames_interpolated": sum(row.interpolated or 0 for row in accepted),
    }
