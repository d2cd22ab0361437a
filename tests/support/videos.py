"""Small videos of the portrait that scikit-image ships, or of plain grey, written with ffmpeg."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import skimage.data
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def run_ffmpeg(*arguments: object, stdin: bytes | None = None) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-threads", "1", *map(str, arguments)]
    subprocess.run(command, input=stdin, check=True, capture_output=True)


def write_video(
    path: Path,
    frames: Sequence[Picture],
    sound: NDArray[np.float64] | None = None,
    *,
    fps: float = 25,
    rate_hz: int = 16_000,
    options: Sequence[str] = (),
) -> Path:
    """Frames (H, W, 3) and sound -1..1 (N,) or (N, channels); ``options`` go to ffmpeg's output."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape[:2]
    inputs: list[object] = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", fps, "-i", "-"]
    if sound is not None:
        raw = path.with_suffix(".pcm")
        channels = 1 if sound.ndim == 1 else sound.shape[1]
        raw.write_bytes((sound * 32767).astype("<i2").tobytes())
        inputs += ["-f", "s16le", "-ar", rate_hz, "-ac", channels, "-i", raw]
    picture = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-pix_fmt", "yuv420p"]
    run_ffmpeg(*inputs, *picture, *options, path, stdin=b"".join(frame.tobytes() for frame in frames))
    if sound is not None:
        raw.unlink()
    return path


def grey_frames(levels: Sequence[int], shape: tuple[int, int] = (32, 48)) -> list[Picture]:
    """Plain pictures, told apart by their level."""
    return [np.full((*shape, 3), level, np.uint8) for level in levels]


def portrait(count: int, left: int = 110, side: int = 220, size: tuple[int, int] = (220, 220)) -> list[Picture]:
    """The astronaut, moving one pixel to the side every other picture."""
    picture = np.asarray(skimage.data.astronaut())
    return [
        np.asarray(cv2.resize(picture[10 : 10 + side, left + n // 2 : left + n // 2 + side], size), dtype=np.uint8)
        for n in range(count)
    ]


def hum(seconds: float, rate_hz: int = 16_000, frequency_hz: float = 220) -> NDArray[np.float64]:
    return 0.3 * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def delay_sound(path: Path, delay_s: float) -> Path:
    """A copy whose sound track begins later."""
    late = path.with_stem(f"{path.stem}-late")
    run_ffmpeg("-i", path, "-itsoffset", delay_s, "-i", path, "-map", "0:v", "-map", "1:a", "-c", "copy", late)
    return late
