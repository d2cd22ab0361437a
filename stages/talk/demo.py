"""The demonstration: a clip of someone talking, dubbed with its own sound, or a portrait that reads a sentence."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.common.face.detect import FaceDetector
from stages.common.face.track import square_box
from stages.common.face.warp import align_face
from stages.common.media.video import Video
from stages.common.pictures import lay_out, write_png
from stages.common.progress import Progress
from stages.common.provenance import COMPOSITE
from stages.common.talking import TalkingModel
from stages.talk.config import TalkConfig
from stages.talk.framing import MARGIN
from stages.talk.run import TalkResult, talk
from stages.talk.voice import write_speech

SENTENCE = "Place green at b four now."
"""Of the kind that the bundled model's one speaker says."""
VIDEO_NAME, STRIP_NAME = "talk.mp4", "talk-strip.png"
_TILES, _TILE_PX = 10, 128


def make_talk_demo(
    out: Path, clip: Path | None, model: TalkingModel, detector: FaceDetector, progress: Progress
) -> tuple[list[Path], TalkResult]:
    """Write the video below the folder ``out``, and a strip: frames of the source over those of the result."""
    face, sound = (clip, clip) if clip is not None else _portrait(out)
    video, strip = out / VIDEO_NAME, out / STRIP_NAME
    result = talk(face, sound, video, model=model, detector=detector, config=TalkConfig(), progress=progress)
    before = _tiles(video if clip is None else clip, detector, result)
    rows = before if clip is None else [*before, *_tiles(video, detector, result)]
    write_png(strip, lay_out(rows, _TILES), result.provenance, COMPOSITE)
    made = [video, strip] if clip is not None else [face, sound, video, strip]
    return made, result


def _portrait(out: Path) -> tuple[Path, Path]:
    from skimage import data

    face, sound = out / "astronaut.png", out / "sentence.wav"
    Image.fromarray(data.astronaut()).save(face)
    write_speech(sound, SENTENCE)
    return face, sound


def _tiles(path: Path, detector: FaceDetector, result: TalkResult) -> list[NDArray[np.uint8]]:
    """Evenly spread frames, cut to the face of the first of them that shows one."""
    step = max(1, result.counts.frames // _TILES)
    frames = list(islice(islice(Video(path, Fraction(result.rate_hz)), 0, None, step), _TILES))
    for frame in frames:
        faces = detector(frame)
        if faces:
            extent = float(np.ptp(faces[0].landmarks, axis=0).max())
            box = square_box(faces[0].landmarks, MARGIN * extent)
            return [align_face(frame, box.matrix(_TILE_PX), _TILE_PX) for frame in frames]
    return [np.asarray(cv2.resize(frame, (_TILE_PX, _TILE_PX)), dtype=np.uint8) for frame in frames]
