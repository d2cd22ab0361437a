"""The align stage: photos in, aligned faces and their table out.

Photos are done in chunks of a fixed size and order. A chunk is done when its table exists, which is written last; so a
run that was killed goes on with the next chunk and ends with the same bytes, whatever the number of workers.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.connection import wait as wait_for_sentinel
from pathlib import Path

import cv2
import pyarrow as pa
import pyarrow.parquet as pq

from stages.align.config import AlignConfig
from stages.align.faces import DUPLICATE, GREY, OK, FaceMaker, FaceRow
from stages.align.sources import NOT_AN_EMOTION, Photos, Sample
from stages.common.errors import BadInputError, Interrupted, TooManyRejectedError
from stages.common.face.detect import load_detector, resolve_detector
from stages.common.manifest import Artifact, ArtifactKind, Counts, write_atomically
from stages.common.progress import Task
from stages.common.stage import ArtifactDraft, RunContext, StageSpec, work_folder

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
_ASKED_FOR = frozenset({GREY, NOT_AN_EMOTION})
_POLL_S = 0.2

Chunk = tuple[int, tuple[Sample, ...]]


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
        (number, samples[start : start + CHUNK_SAMPLES])
        for number, start in enumerate(range(0, len(samples), CHUNK_SAMPLES))
    ]
    todo = [chunk for chunk in chunks if not _table_path(context.out, chunk[0]).is_file()]
    done = len(samples) - sum(len(chunk) for _, chunk in todo)
    with context.progress.task("align", total=len(samples), done=done) as task:
        if context.workers > 1 and len(todo) > 1:
            _run_pool(config, photos.root, context, todo, task)
        else:
            _run_here(config, photos.root, context, todo, task)
    return _merge(config, context.out, [number for number, _ in chunks])


def _run_here(config: AlignConfig, root: Path, context: RunContext, todo: list[Chunk], task: Task) -> None:
    if not todo:
        return
    cv2.setNumThreads(1)
    maker = FaceMaker(config, root, load_detector(config.detector, context.device))
    for chunk in todo:
        _stop_if_asked(context)
        for _ in _make_chunk(maker, context.out, chunk):
            task.advance()


def _run_pool(config: AlignConfig, root: Path, context: RunContext, todo: list[Chunk], task: Task) -> None:
    pool = ProcessPoolExecutor(
        max_workers=min(context.workers, len(todo)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(config, root, context.out, context.device),
    )
    with pool:
        waiting: dict[Future[None], int] = {pool.submit(_work_on, chunk): len(chunk[1]) for chunk in todo}
        try:
            while waiting:
                _stop_if_asked(context)
                finished, _ = wait(waiting, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                    task.advance(waiting.pop(future))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _stop_if_asked(context: RunContext) -> None:
    if context.should_stop():
        raise Interrupted("stopped; the finished part is kept", "Give the same command again to go on")


_worker: tuple[FaceMaker, Path] | None = None


def _start_worker(config: AlignConfig, root: Path, out: Path, device: str) -> None:
    """Load the detector once a process; the parent alone answers to signals, and a worker never outlives it."""
    global _worker  # noqa: PLW0603
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    if config.detector == "fan":
        import torch

        torch.set_num_threads(1)
    _worker = (FaceMaker(config, root, load_detector(config.detector, device)), out)


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_sentinel([parent.sentinel])
        os._exit(1)


def _work_on(chunk: Chunk) -> None:
    assert _worker is not None
    maker, out = _worker
    for _ in _make_chunk(maker, out, chunk):
        pass


def _make_chunk(maker: FaceMaker, out: Path, chunk: Chunk) -> Iterator[None]:
    """Make the faces of one chunk, one a step, and write its table after the last."""
    number, samples = chunk
    folder = out / FACES_NAME / f"{number:05d}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = []
    for sample in samples:
        row, jpeg = maker.make(sample)
        if jpeg is not None:
            row.face_path = f"{FACES_NAME}/{number:05d}/{row.sample_key}.jpg"
            (out / row.face_path).write_bytes(jpeg)
        rows.append(row)
        yield
    write_atomically(_table_path(out, number), _to_parquet(rows))


def _table_path(out: Path, number: int) -> Path:
    return work_folder(out) / f"{number:05d}.parquet"


def _to_parquet(rows: list[FaceRow]) -> bytes:
    stream = io.BytesIO()
    columns = {name: [getattr(row, name) for row in rows] for name in SCHEMA.names}
    pq.write_table(pa.table(columns, schema=SCHEMA), stream, compression="zstd")
    return stream.getvalue()


def _merge(config: AlignConfig, out: Path, numbers: list[int]) -> ArtifactDraft:
    rows = [FaceRow(**r) for number in numbers for r in pq.ParquetFile(_table_path(out, number)).read().to_pylist()]
    _reject_duplicates(rows)
    by_status = Counter(row.status for row in rows)
    ok = by_status.pop(OK, 0)
    judged = len(rows) - sum(by_status[reason] for reason in _ASKED_FOR)
    rejected = judged - ok
    if judged and rejected > config.max_rejected * judged:
        worst, count = max(((r, c) for r, c in by_status.items() if r not in _ASKED_FOR), key=lambda item: item[1])
        raise TooManyRejectedError(
            f"{rejected} of {judged} photos were rejected, {count} of them as {worst!r}",
            f"Look at the photos, or allow more than max_rejected = {config.max_rejected}",
        )
    for row in rows:
        if row.status != OK:
            _remove_face(out, row)
    (out / TABLE_NAME).write_bytes(_to_parquet(rows))
    counts = Counts(total=len(rows), ok=ok, rejected_by_reason=dict(sorted(by_status.items())))
    return ArtifactDraft(counts, metrics=_describe_faces(rows), counts_by_path={TABLE_NAME: len(rows)})


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
    version=2,
    config_type=AlignConfig,
    inputs={"photos": ArtifactKind.SOURCE},
    output=ArtifactKind.FACES,
    run=run_align,
)
