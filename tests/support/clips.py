"""Small videos with known faces, and a detector that reads from a frame's upper left corner which faces it has."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from stages.common.face.detect import Face
from support.fake_editor import make_face

NOBODY, ONE, TWO = 40, 120, 200
"""Grey levels of the corner."""
WIDTH_PX, HEIGHT_PX = 160, 112


def write_clip(
    path: Path,
    corners: Sequence[int],
    *,
    times: Sequence[int] | None = None,
    rotation: int = 0,
    sound: bool = False,
    backgrounds: Sequence[int] | None = None,
) -> Path:
    """One frame for each corner; ``times`` in 1/100 s, by default 25 frames a second."""
    times = times or [4 * i for i in range(len(corners))]
    with av.open(str(path), "w") as container:
        webm = path.suffix == ".webm"
        stream = container.add_stream("libvpx-vp9" if webm else "libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 100)
        if rotation:
            stream.set_display_rotation(rotation)
        voice = container.add_stream("libopus" if webm else "aac", rate=48000, layout="mono") if sound else None
        for i, (corner, time) in enumerate(zip(corners, times, strict=True)):
            frame = av.VideoFrame.from_ndarray(_picture(corner, backgrounds[i] if backgrounds else 90), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if voice is not None:
            wave = (8000 * np.sin(np.arange(48000 * (times[-1] + 4) // 100) / 20)).astype(np.int16)
            tone = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
            tone.sample_rate, tone.pts = 48000, 0
            for piece in av.AudioResampler("flt" if webm else "fltp", "mono", 48000, 960).resample(tone):
                container.mux(voice.encode(piece))
            container.mux(voice.encode(None))
    return path


def _picture(corner: int, background: int) -> np.ndarray:
    pixels = np.full((HEIGHT_PX, WIDTH_PX, 3), background, np.uint8)
    pixels[:16, :16] = corner
    return pixels


class CornerDetector:
    """Faces 80 and 60 pixels wide, the larger at the left; ``seen`` counts its frames."""

    name = "corner"

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, rgb: np.ndarray) -> list[Face]:
        self.seen += 1
        faces = [make_face(6, 20, 80), make_face(92, 24, 60)]
        differences = [abs(int(rgb[8, 8, 0]) - level) for level in (NOBODY, ONE, TWO)]
        return faces[: int(np.argmin(differences))] if min(differences) < 20 else []


def read_packets(path: Path) -> bytes:
    """The sound of a file as it is coded."""
    with av.open(str(path)) as container:
        return b"".join(bytes(packet) for packet in container.demux(audio=0))
