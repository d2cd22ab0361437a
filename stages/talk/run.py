"""Make a face say what is heard: listen, find the face, make its mouth frame after frame, and write the video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from stages.common.audio_features import audio_of
from stages.common.errors import ConfigError
from stages.common.face.blend import blend_face, make_mouth_mask
from stages.common.face.detect import FaceDetector
from stages.common.face.similarity import transform_points
from stages.common.face.tracking import NO_FACE
from stages.common.face.warp import align_face
from stages.common.frame_counts import FrameCounts
from stages.common.hashing import hash_file
from stages.common.progress import Progress
from stages.common.provenance import describe_tool
from stages.common.sound_track import EncodedSound
from stages.common.talking import TalkingModel
from stages.common.video import Frame
from stages.common.video_writer import VideoWriter
from stages.models.talker import TalkerConfig
from stages.talk.config import TalkConfig
from stages.talk.listening import Heard, listen
from stages.talk.scene import FaceSearch, Picture, Place, open_scene
from stages.talk.speaker import Speaker


@dataclass(frozen=True, slots=True)
class TalkResult:
    """What became of the frames; ``silent`` of them had no sound, ``damaged`` counts what the source had lost."""

    counts: FrameCounts
    rate_hz: Fraction
    duration_s: Fraction
    source_frames: int
    silent: int
    damaged: int
    provenance: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {
            **self.counts.as_json(),
            "frames_per_s": float(self.rate_hz),
            "sound_s": round(float(self.duration_s), 3),
            "source_frames": self.source_frames,
            "silent_frames": self.silent,
            "damaged": self.damaged,
        }

    @property
    def notes(self) -> list[str]:
        """What a person should know of it, a line each."""
        passed = [f"{count} frames passed through ({why})" for why, count in self.counts.passed_through.items()]
        if 1 < self.source_frames < self.counts.frames:
            passed.append(
                f"the video ({self.source_frames} frames) is shorter than the sound, so it plays forth and back"
            )
        if self.damaged:
            passed.append(f"{self.damaged} damaged packets or frames of the video were left out")
        return passed


def check_emotion(talker: TalkerConfig, config: TalkConfig, model_name: str) -> None:
    """Raise ``ConfigError`` for an emotion that the model cannot express."""
    if config.emotion is not None and not talker.emotion:
        raise ConfigError(f"{model_name} speaks without emotions", "Leave out --emotion, or give another --model")


def talk(
    face: Path,
    sound: Path,
    target: Path,
    *,
    model: TalkingModel,
    detector: FaceDetector,
    config: TalkConfig,
    progress: Progress,
) -> TalkResult:
    """Write ``target``, as long as the sound: frame k is shown at k / rate of the sound.

    A photo becomes a video; a video keeps its rate, and is played forth and back where the sound is longer. Pixels
    outside the mouth's mask are the source's; frames without a face are passed through. ``target`` appears when it is
    complete. Raises ``BadInputError`` for what cannot be read or written, "no sound" and "no face".
    """
    check_emotion(model.talker.config, config, "the model")
    heard = listen(sound, audio_of(model.talker.config), model.fps, model.device, model.pause_C)
    search = FaceSearch(detector, model.size_px, config.smoothing)
    scene = open_scene(face, heard.duration_s, model.fps, search, progress)
    rate, record = scene.info.rate_hz, _describe(face, sound, model, detector, config)
    frames = max(1, round(heard.duration_s * rate))
    counts = FrameCounts()
    speaker = Speaker(model, heard, config)
    with (
        VideoWriter(target, scene.info, record, config.crf, partial(EncodedSound, sound)) as writer,
        progress.task("frames", frames) as task,
    ):
        for number, (picture, place) in enumerate(islice(scene.frames(), frames)):
            counts.frames += 1
            if place is None:
                counts.passed_through[NO_FACE] += 1
            else:
                counts.edited += 1
                _say(speaker, picture, place, (number + Fraction(1, 2)) / rate)
            writer.write(Frame(picture, number, 1, 0), picture)
            task.advance(edited=counts.edited)
    return TalkResult(
        counts, rate, heard.duration_s, len(scene.places), _silent_frames(heard, frames, rate), scene.damaged, record
    )


def _say(speaker: Speaker, picture: Picture, place: Place, time_s: Fraction) -> None:
    """Put the mouth of ``time_s`` into a frame, in place; nothing outside its mask is touched."""
    size_px = speaker.size_px
    crop = align_face(picture, place.matrix, size_px)
    spoken = speaker.speak(crop, transform_points(place.matrix, place.landmarks), place.track, time_s)
    mask = make_mouth_mask(place.landmarks, place.matrix, size_px, spoken.top_px, (len(picture), picture.shape[1]))
    blend_face(picture, spoken.made_SSC, spoken.reconstruction_SSC, matrix=place.matrix, mask=mask, mode=speaker.blend)


def _silent_frames(heard: Heard, frames: int, rate: Fraction) -> int:
    at = (np.arange(frames) + 0.5) * float(heard.fps / rate)
    return int(heard.silent_T[at.astype(int).clip(0, len(heard.silent_T) - 1)].sum())


def _describe(
    face: Path, sound: Path, model: TalkingModel, detector: FaceDetector, config: TalkConfig
) -> dict[str, Any]:
    """All that has to be the same so that the same files give the same pixels."""
    return {
        **describe_tool(),
        "stage": "talk",
        "model": model.artifact_id,
        "detector": detector.name,
        "emotion": config.emotion,
        "seed": config.seed,
        "settings": config.model_dump(mode="json", exclude={"emotion", "seed"}),
        "source_sha256": hash_file(face),
        "sound_sha256": hash_file(sound),
    }
