"""Many photos in one command against one after another, and the memory of a long video against that of a short one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from skimage.data import astronaut

from benchmarks.edit import Cost, measure_edit_command
from benchmarks.tables import print_table

GOAL_SPEEDUP, GOAL_MEMORY_RATIO = 2.0, 1.05
_FPS = 1
_FACELESS_EVERY = 10
_PORTRAIT_PX = 256


def measure_batch(model: str, photos: Sequence[Path], steps: int) -> dict[str, Any]:
    """Seconds a photo of one ``facediff edit`` for all ``photos``, and of one command for each."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "photos"
        source.mkdir()
        for number, photo in enumerate(photos):
            shutil.copy(photo, source / f"{number}{photo.suffix}")
        together = _edit(model, steps, source, Path(folder) / "together")
        alone = [_edit(model, steps, path, Path(folder) / f"{path.stem}.png") for path in sorted(source.iterdir())]
    one, all_at_once = float(np.mean([cost.wall_s for cost in alone])), together.wall_s / len(photos)
    return {"photos": len(photos), "alone_s": one, "together_s": all_at_once, "speedup": one / all_at_once}


def measure_video_memory(model: str, durations_s: Sequence[int], steps: int) -> list[dict[str, Any]]:
    """Peak memory of editing a portrait that pans for each of ``durations_s``; every tenth frame has no face."""
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for duration_s in durations_s:
            path = Path(folder) / f"{duration_s}.mp4"
            _write_portrait(path, duration_s * _FPS)
            cost = _edit(model, steps, path, Path(folder) / f"{duration_s}-edited.mp4")
            rows.append({"duration_s": duration_s, "frames": duration_s * _FPS, **_as_json(cost)})
    return rows


def print_throughput(batch: dict[str, Any] | None, videos: Sequence[dict[str, Any]]) -> None:
    rows = []
    if batch:
        rows.append(
            [
                f"{batch['photos']} photos: one command for each / one for all",
                f"{batch['alone_s']:.1f} s / {batch['together_s']:.1f} s a photo = {batch['speedup']:.2f}",
                f">= {GOAL_SPEEDUP:g}",
            ]
        )
    for row in videos:
        ratio = row["peak_gib"] / videos[0]["peak_gib"]
        rows.append(
            [
                f"memory of a video of {row['duration_s']} s ({row['frames']} frames)",
                f"{row['peak_gib']:.2f} GiB ({ratio:.2f} of the first), {row['wall_s'] / row['frames']:.2f} s a frame",
                f"<= {GOAL_MEMORY_RATIO:g} of the first",
            ]
        )
    print_table("Many photos, long videos", ["what", "measured", "goal"], rows)


def _edit(model: str, steps: int, source: Path, out: Path) -> Cost:
    return measure_edit_command(model, source, out, "--steps", str(steps))


def _as_json(cost: Cost) -> dict[str, float]:
    return {"wall_s": cost.wall_s, "peak_gib": cost.peak_gib}


def _write_portrait(path: Path, frames: int) -> None:
    rgb = astronaut()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=_FPS)
        stream.width = stream.height = _PORTRAIT_PX
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(_view(rgb, number), format="rgb24")))
        container.mux(stream.encode())


def _view(rgb: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """A window about the face that sways by a few pixels, or one without a face."""
    if number % _FACELESS_EVERY == _FACELESS_EVERY - 1:
        return np.full((_PORTRAIT_PX, _PORTRAIT_PX, 3), 90, dtype=np.uint8)
    left = 96 + round(8 * np.sin(number / 5))
    return np.ascontiguousarray(rgb[:_PORTRAIT_PX, left : left + _PORTRAIT_PX])
