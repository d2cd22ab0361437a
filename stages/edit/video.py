"""Edit the faces of a video: decode, follow, edit in small batches and encode, with few frames at a time in memory.

Shapes: B faces of one batch, C channels, S crop size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stages.common.emotions import EMOTIONS
from stages.common.errors import BadInputError
from stages.common.expression_edit import PointMove
from stages.common.face.cut import cut_face
from stages.common.face.detect import FaceDetector
from stages.common.face.search import FrameSearch
from stages.common.face.tracking import NO_FACE, NO_SUCH_FACE, Chosen, choose_tracks, follow
from stages.common.frame_counts import FrameCounts
from stages.common.hashing import hash_file
from stages.common.progress import Progress
from stages.common.tensors import to_model_range
from stages.common.video import Frame, VideoReader
from stages.common.video_writer import VideoWriter
from stages.edit.config import EditConfig
from stages.edit.run import (
    FaceEditor,
    as_recommended,
    check_supported,
    describe_edit,
    edit_crops,
    guidance_scales,
    put_back,
)
from stages.edit.steady import SteadyNoise

BATCH_FACES = 8
_BATCH_FRAMES = 16


@dataclass(slots=True)
class TrackRecord:
    """A followed person: the expression that the edit leaves, decided by the first frames, and in how many frames."""

    track: int
    source: str
    source_probability: float | None
    guidance: float
    frames: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "track": self.track,
            "source": self.source,
            "source_was_auto": self.source_probability is not None,
            "source_probability": self.source_probability,
            "guidance": self.guidance,
            "frames": self.frames,
        }


@dataclass(frozen=True, slots=True)
class VideoResult:
    """What became of a video; ``provenance`` is what its file says, and ``tracks`` and counts besides."""

    counts: FrameCounts
    provenance: Mapping[str, Any]
    notes: tuple[str, ...]


def edit_video(
    path: Path, target: Path, editor: FaceEditor, detector: FaceDetector, config: EditConfig, *, progress: Progress
) -> VideoResult:
    """Edit ``path`` into ``target``, which appears when it is complete.

    Frames without the face that is asked for stay as they are. Raises ``BadInputError`` for what cannot be read or
    written, and where no frame at all has a face ("no face", "no such face").
    """
    config = as_recommended(config, editor)
    check_supported(editor, config)
    with VideoReader(path) as reader:
        record = {**describe_edit(editor, detector, config), "source_sha256": hash_file(path)}
        with (
            VideoWriter(target, reader.info, record, config.video.crf) as writer,
            progress.task("frames", reader.info.frames) as task,
        ):
            batches = _VideoEdit(editor, config)
            search = FrameSearch(detector, path, every=config.face != "largest")
            followed = follow(reader.frames(), _upright, search, config.video.smoothing)
            for batch in _batches(choose_tracks(followed, config.face)):
                for frame, stored_HWC in batches.edit(batch):
                    writer.write(frame, stored_HWC)
                task.advance(len(batch), edited=batches.counts.edited)
            _require_edits(batches.counts, path, search.tried)
            sound_notes, ended_early = tuple(writer.notes), reader.ended_early
    counts = batches.counts
    provenance = {**record, "faces": [t.as_json() for t in batches.tracks.values()], "counts": counts.as_json()}
    lost = reader.info.frames - counts.frames if reader.info.says_frames and ended_early else 0
    notes = (f"only {counts.frames} of {reader.info.frames} frames could be read",) if lost > 0 else ()
    return VideoResult(counts, provenance, notes + sound_notes)


def check_video(path: Path) -> None:
    """Raise ``BadInputError`` unless there is a video at ``path``."""
    with VideoReader(path):
        pass


def _upright(frame: Frame) -> NDArray[np.uint8]:
    return frame.upright


def _batches(items: Iterable[Chosen[Frame]]) -> Iterator[list[Chosen[Frame]]]:
    batch: list[Chosen[Frame]] = []
    for item in items:
        batch.append(item)
        if sum(len(chosen.faces) for chosen in batch) >= BATCH_FACES or len(batch) == _BATCH_FRAMES:
            yield batch
            batch = []
    if batch:
        yield batch


class _VideoEdit:
    """Edits batch after batch, and keeps what goes from one to the next."""

    def __init__(self, editor: FaceEditor, config: EditConfig) -> None:
        self.counts = FrameCounts()
        self.tracks: dict[int, TrackRecord] = {}
        self._editor, self._config = editor, config
        self._steady = SteadyNoise(config.video.memory)
        self._displacements: dict[int, NDArray[np.float32]] = {}

    def edit(self, batch: Sequence[Chosen[Frame]]) -> list[tuple[Frame, NDArray[np.uint8]]]:
        """The frames with their pixels (H, W, 3), edited where there are faces."""
        self._count(batch)
        owners = [(chosen, track) for chosen in batch for track in chosen.faces]
        if owners:
            self._edit_faces(owners)
        return [(chosen.frame, chosen.frame.stored_HWC) for chosen in batch]

    def _edit_faces(self, owners: Sequence[tuple[Chosen[Frame], int]]) -> None:
        size_px, config = self._editor.size_px, self._config
        crops, matrices = zip(
            *(
                cut_face(np.ascontiguousarray(chosen.frame.upright), chosen.faces[track], size_px)
                for chosen, track in owners
            ),
            strict=True,
        )
        images_BCHW = to_model_range(crops)
        tracks = [track for _, track in owners]
        self._meet(images_BCHW, tracks)
        made = edit_crops(
            self._editor,
            images_BCHW,
            [self.tracks[track].source for track in tracks],
            config,
            steady=self._steady.for_tracks(tracks) if config.video.memory > 0 else None,
            least_confidence=0.0,  # one blurred frame is edited as it is measured, and does not end a film
        )
        made = replace(made, moves=self._steady_moves(tracks, made.moves))
        for (chosen, track), edit in zip(owners, made.each(matrices), strict=True):
            put_back(chosen.frame.upright, chosen.faces[track], edit, self._editor, config.blend)
            self.tracks[track].frames += 1

    def _steady_moves(
        self, tracks: Sequence[int], moves: Sequence[PointMove | None] | None
    ) -> Sequence[PointMove | None] | None:
        """Moves whose displacements follow those of the frames before, so that measured points may tremble."""
        if moves is None:
            return None
        steadied = []
        for track, move in zip(tracks, moves, strict=True):
            assert move is not None, "a model that moves points moves those of all faces"
            displacement_P3 = move.target_P3 - move.source_P3
            share = self._config.video.memory if track in self._displacements else 0.0
            self._displacements[track] = share * self._displacements.get(track, 0) + (1 - share) * displacement_P3
            steadied.append(PointMove(move.source_P3, move.source_P3 + self._displacements[track]))
        return steadied

    def _meet(self, images_BCHW: torch.Tensor, tracks: Sequence[int]) -> None:
        """Decide the expression of tracks that are new in this batch, by the mean of its frames."""
        for track in sorted(set(tracks) - self.tracks.keys()):
            source, probability = self._config.source, None
            if source == "auto":
                own = images_BCHW[[i for i, owner in enumerate(tracks) if owner == track]]
                source, probability = self._mean_source(own)
            guidance = guidance_scales(self._editor, [source], self._config)[0]
            self.tracks[track] = TrackRecord(track, source, probability, guidance)

    def _mean_source(self, images_BCHW: torch.Tensor) -> tuple[str, float]:
        mean_K = self._editor.classify(images_BCHW).detach().float().cpu().mean(dim=0)
        name = max(self._editor.supported, key=lambda emotion: float(mean_K[EMOTIONS.index(emotion)]))
        return name, round(float(mean_K[EMOTIONS.index(name)]), 4)

    def _count(self, batch: Sequence[Chosen[Frame]]) -> None:
        for chosen in batch:
            self.counts.frames += 1
            if chosen.faces:
                self.counts.edited += 1
            else:
                self.counts.passed_through[chosen.reason] += 1


def _require_edits(counts: FrameCounts, path: Path, tried: str) -> None:
    if counts.frames == 0:
        raise BadInputError(f"{path} has no frame that can be read", reason="damaged")
    if counts.edited == 0:
        reason = NO_SUCH_FACE if counts.passed_through[NO_SUCH_FACE] else NO_FACE
        hint = tried if reason == NO_FACE else ""
        raise BadInputError(f"{reason} found in any of the {counts.frames} frames of {path}", hint, reason=reason)
