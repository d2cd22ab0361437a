"""Pictures as moving pictures. Equal pictures give equal bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def write_gif(path: Path, frames_NHWC: NDArray[np.uint8], fps: int) -> None:
    """An animation that repeats for ever."""
    first, *others = map(Image.fromarray, frames_NHWC)
    first.save(path, "GIF", save_all=True, append_images=others, duration=round(1000 / fps), loop=0)


def write_mp4(path: Path, frames_NHWC: NDArray[np.uint8], fps: int) -> None:
    """H.264 with the ffmpeg that comes with imageio-ffmpeg; height and width must be even."""
    import imageio.v3 as imageio

    imageio.imwrite(
        path,
        frames_NHWC,
        plugin="FFMPEG",
        fps=fps,
        codec="libx264",
        quality=None,
        macro_block_size=2,
        output_params=["-crf", "16", "-fflags", "+bitexact", "-flags:v", "+bitexact"],
    )
