"""Pack accepted faces into WebDataset tars, one series a split, in an order that mixes identities."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.common.errors import BadInputError
from stages.common.expressions import EXPRESSIONS_NAME, read_rows
from stages.common.hashing import hash_file, hash_json
from stages.common.manifest import Artifact, ArtifactKind, Counts, write_atomically
from stages.common.shards import INDEX_NAME
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.tar import write_tar
from stages.shard.config import ShardConfig

_COLUMNS = ["sample_key", "emotion", "identity", "split", "status", "face_path"]
_INDEX_SCHEMA = pa.schema(
    [
        ("sample_key", pa.string()),
        ("split", pa.string()),
        ("emotion", pa.string()),
        ("identity", pa.string()),
        ("shard", pa.string()),
        ("offset", pa.int64()),
        ("size", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class _Shard:
    name: str
    rows: tuple[Mapping[str, Any], ...]


def run(config: ShardConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Write every shard that is not there yet, then the index of member offsets."""
    faces = inputs["faces"]
    shards = _plan_shards(faces, config, context.seed)
    index: list[Mapping[str, Any]] = []
    with context.progress.task("shards", len(shards)) as task:
        for shard in shards:
            path = context.out / f"{shard.name}.tar"
            if not _is_done(path):
                _write_shard(path, shard, faces)
            index.extend(_index_rows(path, shard))
            task.advance()
    pq.write_table(pa.Table.from_pylist(index, schema=_INDEX_SCHEMA), context.out / INDEX_NAME)
    if faces.path(EXPRESSIONS_NAME).is_file():
        _copy_expressions(faces, context.out, [row["sample_key"] for row in index])
    counts_by_path = {f"{shard.name}.tar": len(shard.rows) for shard in shards}
    return ArtifactDraft(Counts(total=len(index), ok=len(index)), {"samples": _samples_by_class(index)}, counts_by_path)


SHARD = StageSpec("shard", 1, ShardConfig, {"faces": ArtifactKind.FACES}, ArtifactKind.SHARDS, run)


def _plan_shards(faces: Artifact, config: ShardConfig, seed: int) -> list[_Shard]:
    rows = [r for r in pq.read_table(faces.path("faces.parquet"), columns=_COLUMNS).to_pylist() if r["status"] == "ok"]
    if not rows:
        raise BadInputError(f"{faces.root} has no accepted faces")
    rows.sort(key=lambda r: (r["split"], hash_json([seed, r["sample_key"]])))
    shards = []
    for split, group in groupby(rows, key=lambda r: r["split"]):
        members = list(group)
        size = config.samples_per_shard
        for number, start in enumerate(range(0, len(members), size)):
            shards.append(_Shard(f"{split}-{number:06d}", tuple(members[start : start + size])))
    return shards


def _is_done(path: Path) -> bool:
    sidecar = path.with_suffix(".json")
    return sidecar.is_file() and path.is_file() and json.loads(sidecar.read_text())["sha256"] == hash_file(path)


def _write_shard(path: Path, shard: _Shard, faces: Artifact) -> None:
    temporary = path.with_suffix(".tmp")
    write_tar(temporary, ((name, data) for row in shard.rows for name, data in _members(row, faces)))
    temporary.replace(path)
    sidecar = {"sha256": hash_file(path), "bytes": path.stat().st_size, "count": len(shard.rows)}
    write_atomically(path.with_suffix(".json"), json.dumps(sidecar, indent=2).encode() + b"\n")


def _members(row: Mapping[str, Any], faces: Artifact) -> list[tuple[str, bytes]]:
    label = {name: row[name] for name in ("emotion", "identity", "split")}
    return [
        (f"{row['sample_key']}.jpg", faces.path(row["face_path"]).read_bytes()),
        (f"{row['sample_key']}.json", json.dumps(label, sort_keys=True).encode()),
    ]


def _index_rows(path: Path, shard: _Shard) -> list[Mapping[str, Any]]:
    with tarfile.open(path, "r:") as tar:
        pictures = {m.name.removesuffix(".jpg"): m for m in tar if m.name.endswith(".jpg")}
    return [
        {
            **{name: row[name] for name in ("sample_key", "split", "emotion", "identity")},
            "shard": path.name,
            "offset": pictures[row["sample_key"]].offset_data,
            "size": pictures[row["sample_key"]].size,
        }
        for row in shard.rows
    ]


def _copy_expressions(faces: Artifact, out: Path, keys: list[str]) -> None:
    """The rows of the packed faces, in the order of the index."""
    pq.write_table(read_rows(faces.path(EXPRESSIONS_NAME), keys), out / EXPRESSIONS_NAME, compression="zstd")


def _samples_by_class(index: list[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for row in index:
        of_split = counts.setdefault(row["split"], {})
        name = row["emotion"] or "unlabelled"
        of_split[name] = of_split.get(name, 0) + 1
    return counts
