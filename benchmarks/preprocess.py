"""How fast the align stage is, next to a bare loop over the same detector and predictor, and with more workers."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from benchmarks.tables import print_table
from stages.align.config import AlignConfig
from stages.align.run import ALIGN, CHUNK_SAMPLES
from stages.align.sources import Photos, Sample, read_folder
from stages.common.engine import describe_source, execute
from stages.common.errors import BadInputError
from stages.common.face.detect import load_detector
from stages.common.images import read_rgb

GOAL_SHARE = 0.85


def measure_preprocess(root: Path, paths: Sequence[str], max_workers: int | None = None) -> dict[str, Any]:
    """Photos a second: the bare loop (decode, detect, predict) on one core, and the stage with 1, 2, 4, ... workers.

    All of them load the detector and the predictor themselves, within the time that is measured.
    """
    cores = max_workers or os.cpu_count() or 1
    photos = _as_source(root, paths)
    result: dict[str, Any] = {"photos": len(paths), "cores": cores, "bare": _measure_bare(root, paths)}
    counts = [1]
    while counts[-1] * 2 <= min(cores, max(1, len(paths) // CHUNK_SAMPLES)):
        counts.append(counts[-1] * 2)
    result["stage"] = {str(workers): _measure_stage(photos, workers) for workers in counts}
    return result


def _measure_bare(root: Path, paths: Sequence[str]) -> float:
    cv2.setNumThreads(1)
    started = time.perf_counter()
    detector = load_detector("dlib")
    for path in paths:
        detector(read_rgb(root / path))
    return len(paths) / (time.perf_counter() - started)


def _measure_stage(photos: Photos, workers: int) -> float:
    config = AlignConfig(detector="dlib", max_rejected=1.0)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        execute(ALIGN, config, {"photos": photos}, Path(folder) / "faces", workers=workers)
        return len(photos.samples) / (time.perf_counter() - started)


def _as_source(root: Path, paths: Sequence[str]) -> Photos:
    if not paths:
        return read_folder(root)
    missing = [path for path in paths if not (root / path).is_file()]
    if missing:
        raise BadInputError(f"{root / missing[0]} does not exist")
    source = describe_source(root, "0" * 64)
    return Photos(source.manifest, root, tuple(Sample(path) for path in sorted(paths)))


def print_preprocess(result: dict[str, Any]) -> None:
    bare, one = result["bare"], result["stage"]["1"]
    rows = [["bare loop over detector and predictor, 1 core", f"{bare:.1f}", "1.00", ""]]
    for workers, speed in result["stage"].items():
        goal = f">= {GOAL_SHARE}" if workers == "1" else ""
        rows.append([f"align stage, {workers} worker(s)", f"{speed:.1f}", f"{speed / bare:.2f}", goal])
    if len(result["stage"]) > 1:
        most, speed = list(result["stage"].items())[-1]
        rows.append([f"scaling from 1 to {most} workers", "", f"{speed / one:.2f}", ""])
    print_table(f"Preprocessing {result['photos']} photos", ["what", "photos/s", "of the bare loop", "goal"], rows)
