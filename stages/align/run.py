"""The align stage: photos in, aligned faces and their table out."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pyarrow as pa

from stages.align.config import AlignConfig
from stages.align.expressions import ExpressionMeasurer
from stages.align.faces import DUPLICATE, GREY, FaceMaker, FaceRow
from stages.align.sources import NOT_AN_EMOTION, Photos, Sample
from stages.common.chunks import Chunk, Worker, run_chunks, table_path
from stages.common.containment import note_bugs
from stages.common.errors import BadInputError
from stages.common.expressions import EXPRESSION_FIELDS, EXPRESSION_SCHEMA, EXPRESSIONS_NAME
from stages.common.face.detect import load_detector, resolve_detector
from stages.common.manifest import Artifact, ArtifactKind, write_atomically
from stages.common.samples import OK, count_statuses
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.tables import read_parquet, to_parquet

CHUNK_SAMPLES = 256
TABLE_NAME = "faces.parquet"
FACES_NAME = "faces"
SCHEMA = pa.schema(
    [
        pa.field("sample_key", pa.string(), nullable=False),
        pa.field("source_path", pa.string(), nullable=False),
        pa.field("source_sha256", pa.string(), nullable=False),
        pa.field("emotion", pa.string()),
        pa.field("identity", pa.string()),
        pa.field("split", pa.string(), nullable=False),
        pa.field("grey", pa.bool_(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("face_path", pa.string()),
        pa.field("box_xyxy", pa.list_(pa.float64())),
        pa.field("landmarks", pa.list_(pa.float64())),
        pa.field("transform", pa.list_(pa.float64())),
        pa.field("blur_score", pa.float64()),
        pa.field("detector", pa.string(), nullable=False),
    ]
)
_CHUNK_SCHEMA = pa.schema([*SCHEMA, *EXPRESSION_FIELDS])
_ASKED_FOR = frozenset({GREY, NOT_AN_EMOTION})


def run_align(config: AlignConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Write ``faces.parquet`` and ``faces/NNNNN/<key>.jpg``. Raises ``TooManyRejectedError`` or ``Interrupted``."""
    photos = inputs["photos"]
    if not isinstance(photos, Photos):
        raise BadInputError("the align stage reads photos, not the output of another stage")
    name, reason = resolve_detector(config.detector)
    if config.detector == "auto":
        context.progress.note(reason)
    config = config.model_copy(update={"detector": name})
    samples = photos.samples[: config.limit]
    chunks = [
        Chunk(f"{number:05d}", samples[start : start + CHUNK_SAMPLES])
        for number, start in enumerate(range(0, len(samples), CHUNK_SAMPLES))
    ]
    run_chunks(partial(_start, config, photos.root, context.out, context.device), chunks, context, "align")
    return _merge(config, context, chunks)


def _start(config: AlignConfig, root: Path, out: Path, device: str) -> Worker[Sample]:
    measure = ExpressionMeasurer(config.size_px) if config.expression else None
    return partial(_make_chunk, FaceMaker(config, root, load_detector(config.detector, device), measure), out)


def _make_chunk(maker: FaceMaker, out: Path, chunk: Chunk[Sample]) -> Iterator[None]:
    folder = out / FACES_NAME / chunk.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = []
    for sample in chunk.samples:
        row, jpeg = maker.make(sample)
        if jpeg is not None:
            row.face_path = f"{FACES_NAME}/{chunk.name}/{row.sample_key}.jpg"
            (out / row.face_path).write_bytes(jpeg)
        rows.append(row)
        yield
    write_atomically(table_path(out, chunk.name), to_parquet(rows, _CHUNK_SCHEMA))


def _merge(config: AlignConfig, context: RunContext, chunks: list[Chunk[Sample]]) -> ArtifactDraft:
    out = context.out
    rows = [FaceRow(**row) for chunk in chunks for row in read_parquet(table_path(out, chunk.name))]
    note_bugs((row.status for row in rows), "photos", context.progress.note)
    _reject_duplicates(rows)
    counts = count_statuses((row.status for row in rows), "photos", config.max_rejected, _ASKED_FOR)
    for row in rows:
        if row.status != OK:
            _remove_face(out, row)
    (out / TABLE_NAME).write_bytes(to_parquet(rows, SCHEMA))
    metrics, counts_by_path = _describe_faces(rows), {TABLE_NAME: len(rows)}
    if config.expression:
        faces = [row for row in rows if row.status == OK]
        (out / EXPRESSIONS_NAME).write_bytes(to_parquet(faces, EXPRESSION_SCHEMA))
        metrics["faces_with_expression"] = sum(row.coefficients is not None for row in faces)
        counts_by_path[EXPRESSIONS_NAME] = len(faces)
    return ArtifactDraft(counts, metrics=metrics, counts_by_path=counts_by_path)


def _reject_duplicates(rows: list[FaceRow]) -> None:
    """Of equal files only the first stays, lest one photo be in two splits."""
    seen: set[str] = set()
    for row in rows:
        if row.status == OK and row.source_sha256 in seen:
            row.status = DUPLICATE
        seen.add(row.source_sha256)


def _remove_face(out: Path, row: FaceRow) -> None:
    if row.face_path is not None:
        (out / row.face_path).unlink(missing_ok=True)
        row.face_path = None


def _describe_faces(rows: list[FaceRow]) -> dict[str, object]:
    faces = [row for row in rows if row.status == OK]
    return {
        "faces_by_split": dict(sorted(Counter(row.split for row in faces).items())),
        "faces_by_emotion": dict(sorted(Counter(row.emotion or "unlabelled" for row in faces).items())),
    }


ALIGN: StageSpec[AlignConfig] = StageSpec(
    name="align",
    version=3,
    config_type=AlignConfig,
    inputs={"photos": ArtifactKind.SOURCE},
    output=ArtifactKind.FACES,
    run=run_align,
)
