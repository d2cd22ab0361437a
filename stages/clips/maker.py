"""From one clip to one row and, if all is well, one sample: face crops, landmarks, sound and what is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.clips.config import ClipsConfig
from stages.clips.sources import Clip
from stages.common.clip_sample import ClipSample, encode_sample
from stages.common.containment import as_bad_input, concerns_all
from stages.common.errors import BadInputError
from stages.common.face.clip_tracker import ClipTracker, Track
from stages.common.face.detect import FaceDetector
from stages.common.hashing import hash_file
from stages.common.media.sound import Sound, align_sound, read_sound, samples_in
from stages.common.media.video import Video
from stages.common.samples import OK, sample_key
from stages.common.transcripts import Word


@dataclass(slots=True)
class ClipRow:
    """One row of ``clips.parquet``; ``status`` is "ok" or the reason. The box is in pixels of the upright video."""

    sample_key: str
    source_path: str
    source_sha256: str
    text: str | None
    emotion: str | None
    level: int | None
    identity: str | None
    split: str
    status: str
    shard: str | None = None
    frames: int | None = None
    box: list[float] = field(default_factory=list)
    interpolated: int | None = None
    damaged: int | None = None
    silence_s: float | None = None
    detector: str = ""


class ClipMaker:
    """Reads, judges and cuts each clip; one instance a process."""

    def __init__(self, config: ClipsConfig, root: Path, detector: FaceDetector) -> None:
        self._config = config
        self._fps = Fraction(config.fps or 0).limit_denominator(1001)
        self._root = root
        self._tracker = ClipTracker(config, detector)
        self._detector_name = detector.name

    def make(self, clip: Clip) -> tuple[ClipRow, Mapping[str, bytes] | None]:
        """The clip's row, and the members of its sample by suffix if the status is "ok"."""
        row = ClipRow(
            sample_key=sample_key(clip.source_path),
            source_path=clip.source_path,
            source_sha256="",
            text=clip.text,
            emotion=clip.emotion,
            level=clip.level,
            identity=clip.identity,
            split=clip.split,
            status=clip.rejection or OK,
            detector=self._detector_name,
        )
        if clip.rejection:
            return row, None
        try:
            return row, self._make(clip, row)
        except Exception as error:
            if concerns_all(error):
                raise
            row.status = as_bad_input(error, clip.source_path).reason
            return row, None

    def _make(self, clip: Clip, row: ClipRow) -> Mapping[str, bytes]:
        path = self._root / clip.source_path
        try:
            row.source_sha256 = hash_file(path)
        except OSError as error:
            reason = "missing" if isinstance(error, FileNotFoundError) else "unreadable"
            raise BadInputError(f"{path} cannot be read: {error.strerror}", reason=reason) from error
        sound = read_sound(self._root / (clip.sound_path or clip.source_path), 2 * self._config.max_s)
        video = Video(path, self._fps)
        track = self._tracker.track(video)
        box = track.box
        row.frames, row.box = len(track.jpegs), [box.left, box.top, box.side]
        row.interpolated, row.damaged = len(track.interpolated), video.facts.damaged
        samples, row.silence_s = self._cut_sound(sound, video.facts.start_s, len(track.jpegs))
        return encode_sample(_describe(clip, track, video, samples))

    def _cut_sound(self, sound: Sound, start_s: Fraction, frames: int) -> tuple[NDArray[np.float32], float]:
        """The sound of the frames, and how much of it is silence that was put in. Raises ``BadInputError``."""
        end_s = start_s + frames / self._fps
        late_s, early_s = sound.start_s - start_s, end_s - sound.end_s
        if max(abs(late_s), abs(early_s)) > self._config.max_mismatch_s:
            raise BadInputError("sound and pictures differ in time", reason="length mismatch")
        samples = align_sound(sound, start_s, samples_in(frames, self._fps))
        level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
        if level < 10 ** (self._config.min_level_db / 20):
            raise BadInputError("the sound is silence", reason="silent")
        return samples, max(float(late_s), 0.0) + max(float(early_s), 0.0)


def _describe(clip: Clip, track: Track, video: Video, samples: NDArray[np.float32]) -> ClipSample:
    return ClipSample(
        jpegs=track.jpegs,
        landmarks=track.landmarks,
        samples=samples,
        facts={
            "text": clip.text,
            "words": [_since(word, float(video.facts.start_s)) for word in clip.words],
            "emotion": clip.emotion,
            "level": clip.level,
            "identity": clip.identity,
            "split": clip.split,
            "fps": float(video.fps),
            "interpolated": list(track.interpolated),
        },
    )


def _since(word: Word, start_s: float) -> dict[str, Any]:
    """A word with times since the first frame."""
    return {"word": word.word, "start_s": round(word.start_s - start_s, 6), "end_s": round(word.end_s - start_s, 6)}
