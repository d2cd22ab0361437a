"""Talking people as an evaluation takes them: one split of a clips artifact, or videos of any system in a folder.

T frames of H x W pixels, 68 landmarks as (x, y), N samples of sound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.common.clips import ClipDataset
from stages.common.engine import describe_source
from stages.common.errors import BadInputError
from stages.common.face.clip_tracker import ClipTracker, TrackingConfig
from stages.common.face.detect import DetectorName, FaceDetector, load_detector
from stages.common.folders import list_files, name_some
from stages.common.hashing import hash_file, hash_json, hash_listing
from stages.common.images import decode_rgb
from stages.common.manifest import MANIFEST_NAME, Artifact, load_artifact
from stages.common.media.sound import align_sound, read_sound, samples_in
from stages.common.media.video import Video
from stages.common.media_files import VIDEO_SUFFIXES
from stages.common.transcripts import TRANSCRIPT_SUFFIXES, read_transcript

_TABLE = "clips.parquet"
_VERSION = 1
"""Rises when an equal clip would be cut otherwise."""


@dataclass(frozen=True, slots=True)
class TalkingClip:
    """Pictures (T, H, W, 3) RGB, landmarks (T, 68, 2) in their pixels, and the file's sound at 16 kHz (N,)."""

    frames: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    samples: NDArray[np.float32]
    fps: float


class ClipSet(Protocol):
    """Clips by name: a POSIX path without its ending, such as ``s1/bbaf2n``."""

    @property
    def keys(self) -> tuple[str, ...]: ...

    def aliases(self, key: str) -> tuple[str, ...]:
        """The names that another system's clip of this may have, the preferred one first."""
        ...

    def content(self, key: str) -> str:
        """A hash of all that decides what ``read`` gives."""
        ...

    def text(self, key: str) -> str | None:
        """What is said, where the clip comes with it."""
        ...

    def read(self, key: str, sound: bool = False) -> TalkingClip:
        """One clip, without ``sound`` with no samples. Raises ``BadInputError`` with the reason of a rejection."""
        ...


class ArtifactClips:
    """One split of what ``preprocess`` made of clips."""

    def __init__(self, artifact: Artifact, split: str) -> None:
        self._artifact = artifact
        self._data = ClipDataset(artifact, split)
        columns = ["sample_key", "source_path"]
        table = pq.read_table(artifact.path(_TABLE), columns=columns).to_pylist()
        paths = {row["sample_key"]: row["source_path"] for row in table}
        self._index = {_name(paths[key]): number for number, key in enumerate(self._data.keys)}

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(sorted(self._index))

    def aliases(self, key: str) -> tuple[str, ...]:
        return key, PurePosixPath(key).name, self._data.keys[self._index[key]]

    def content(self, key: str) -> str:
        return hash_json([self._artifact.manifest.artifact_id, self._data.keys[self._index[key]]])

    def text(self, key: str) -> str | None:
        text: str | None = self._data.facts(self._index[key])["text"]
        return text

    def read(self, key: str, sound: bool = False) -> TalkingClip:
        index = self._index[key]
        samples = self._data.sound(index) if sound else np.zeros(0, np.float32)
        fps = float(self._data.facts(index)["fps"])
        return TalkingClip(self._data.frames(index), self._data.landmarks(index), samples, fps)


class FolderClips:
    """Videos in a folder, in which the face is found, followed and cut as ``preprocess`` does."""

    def __init__(self, root: Path, fps: float, tracking: TrackingConfig, detector: DetectorName) -> None:
        self._root, self._tracking, self._detector_name = root, tracking, detector
        self._fps = Fraction(fps).limit_denominator(1001)
        self._paths = list_videos(root)

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self._paths)

    def aliases(self, key: str) -> tuple[str, ...]:
        return key, PurePosixPath(key).name

    def content(self, key: str) -> str:
        how = self._tracking.model_dump(mode="json")
        return hash_json([_VERSION, hash_file(self._path(key)), how, float(self._fps), self._detector_name])

    def text(self, key: str) -> str | None:
        beside = (self._path(key).with_suffix(suffix) for suffix in TRANSCRIPT_SUFFIXES)
        found = next((path for path in beside if path.is_file()), None)
        return read_transcript(found) if found else None

    def read(self, key: str, sound: bool = False) -> TalkingClip:
        video = Video(self._path(key), self._fps)
        track = ClipTracker(self._tracking, self._detector).track(video)
        frames = np.stack([decode_rgb(jpeg, key) for jpeg in track.jpegs])
        samples = np.zeros(0, np.float32)
        if sound:
            count = samples_in(len(frames), self._fps)
            samples = align_sound(read_sound(video.path, 2 * self._tracking.max_s), video.facts.start_s, count)
        return TalkingClip(frames, track.landmarks, samples, float(self._fps))

    @cached_property
    def _detector(self) -> FaceDetector:
        return load_detector(self._detector_name)

    def _path(self, key: str) -> Path:
        return self._root / self._paths[key]


def list_videos(root: Path) -> dict[str, str]:
    """As ``list_files``."""
    return list_files(root, VIDEO_SUFFIXES, "videos")


def read_clips(root: Path) -> Artifact:
    """A folder of videos as an input: what facediff wrote with its manifest; else named by all videos and transcripts.

    Raises ``BadInputError``.
    """
    if (root / MANIFEST_NAME).is_file():
        return load_artifact(root)
    paths = [root / path for path in list_videos(root).values()]
    beside = (path.with_suffix(suffix) for path in paths for suffix in TRANSCRIPT_SUFFIXES)
    listed = [*paths, *(path for path in beside if path.is_file())]
    return describe_source(root, hash_listing((p.relative_to(root).as_posix(), hash_file(p)) for p in listed))


def pair_clips(name: str, wanted: ClipSet, keys: tuple[str, ...], found: ClipSet) -> Mapping[str, str]:
    """For each of the ``keys`` of ``wanted`` the key of the same clip in ``found``, whole or by its last part.

    Raises ``BadInputError`` when one is lacking, or when ``found`` has one that ``wanted`` does not know.
    """
    pairs: dict[str, str] = {}
    for scheme in zip(*(wanted.aliases(key) for key in wanted.keys), strict=True):
        known = dict(zip(scheme, wanted.keys, strict=True))
        if len(known) < len(scheme):
            continue
        matched = {known[a]: key for key in found.keys for a in found.aliases(key) if a in known}
        if len(matched) > len(pairs):
            pairs = matched
    lacking, extra = sorted(set(keys) - set(pairs)), sorted(set(found.keys) - set(pairs.values()))
    parts = [f"{len(lacking)} of {len(keys)} clips are not there ({name_some(lacking)})"] if lacking else []
    parts += [f"{len(extra)} clip(s) have no counterpart ({name_some(extra)})"] if extra else []
    if parts:
        raise BadInputError(f"{name}: {'; '.join(parts)}", "Give the same clips of every system, under the same names")
    return {key: pairs[key] for key in keys}


def _name(path: str) -> str:
    return PurePosixPath(path).with_suffix("").as_posix()
