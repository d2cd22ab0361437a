"""Edit many photo files: each is loaded, edited and saved on its own, and one that fails does not stop the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.common.errors import BadInputError
from stages.common.face.detect import FaceDetector
from stages.common.progress import Progress
from stages.edit.config import EditConfig
from stages.edit.photo import Photo, load_photo
from stages.edit.run import EditResult, FaceEditor, edit_photo
from stages.edit.save import save_crop, save_photo


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of one photo: ``status`` is "ok" or the reason of its rejection."""

    source: Path
    status: str
    outputs: tuple[Path, ...] = ()
    error: str = ""
    notes: tuple[str, ...] = ()
    result: EditResult | None = None

    def as_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"input": str(self.source), "status": self.status}
        if self.result is None:
            return {**fields, "error": self.error}
        return {
            **fields,
            "outputs": [str(path) for path in self.outputs],
            "faces": self.result.provenance["faces"],
            "notes": list(self.notes),
        }


def edit_files(
    photos: Sequence[Path],
    targets: Sequence[Path],
    *,
    load_models: Callable[[], tuple[FaceEditor, FaceDetector]],
    config: EditConfig,
    progress: Progress,
) -> list[FileOutcome]:
    """Edit ``photos[i]`` into ``targets[i]``. ``load_models`` is called once, when the first photo has been read.

    Only ``BadInputError`` is kept as an outcome; whatever else is raised concerns all photos and leaves.
    """
    models: tuple[FaceEditor, FaceDetector] | None = None
    outcomes = []
    with progress.task("photos", len(photos)) as task:
        for source, target in zip(photos, targets, strict=True):
            try:
                photo = load_photo(source)
                models = models or load_models()
                result = edit_photo(photo, *models, config)
                outputs = _save(target, photo, result, config)
                notes = photo.notes + _describe_unchanged(result, config)
                # Only the small fields are kept: photos can be large and many.
                outcomes.append(FileOutcome(source, "ok", outputs, notes=notes, result=result.without_pixels()))
                for note in notes:
                    progress.note(f"{source}: {note}")
            except BadInputError as error:
                outcomes.append(FileOutcome(source, error.reason, error=str(error)))
            task.advance()
    return outcomes


def count_outcomes(outcomes: Sequence[FileOutcome]) -> dict[str, Any]:
    """``total``, ``ok`` and ``rejected_by_reason``; total is always ok plus rejected."""
    by_status = Counter(outcome.status for outcome in outcomes)
    return {"total": len(outcomes), "ok": by_status.pop("ok", 0), "rejected_by_reason": dict(sorted(by_status.items()))}


def _save(target: Path, photo: Photo, result: EditResult, config: EditConfig) -> tuple[Path, ...]:
    if not config.crop_only:
        save_photo(target, photo, result.stored_HWC, result.provenance)
        return (target,)
    several = len(result.faces) > 1
    outputs = []
    for number, face in enumerate(result.faces, start=1):
        path = target.with_stem(f"{target.stem}-{number}") if several else target
        save_crop(path, face.edited_SSC, grey=photo.color_channels == 1, record=result.provenance)
        outputs.append(path)
    return tuple(outputs)


def _describe_unchanged(result: EditResult, config: EditConfig) -> tuple[str, ...]:
    already = [face for face in result.faces if [face.source] == list(config.mixture) and face.source_probability is not None]
    return tuple(f"already looks {face.source} (probability {face.source_probability:.2f})" for face in already)
