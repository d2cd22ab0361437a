"""Edit many files: each is loaded, edited and saved on its own, and one that fails does not stop the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.common.containment import as_bad_input, concerns_all
from stages.common.face.detect import FaceDetector
from stages.common.pictures import lay_out, write_png
from stages.common.progress import Progress
from stages.common.provenance import COMPOSITE
from stages.edit.config import EditConfig
from stages.edit.inputs import Source
from stages.edit.like import write_sidecar
from stages.edit.photo import Photo, load_photo
from stages.edit.run import EditResult, edit_photo
from stages.edit.save import crop_path, save_crop, save_photo, way_back_path
from stages.edit.sweep import Sweep, SweepEditor, sweep_photo
from stages.edit.video import check_video, edit_video


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of one photo or video: ``status`` is "ok" or the reason of its rejection."""

    source: Path
    status: str
    outputs: tuple[Path, ...] = ()
    error: str = ""
    notes: tuple[str, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    def as_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"input": str(self.source), "status": self.status}
        if not self.ok:
            return {**fields, "error": self.error}
        fields |= {"outputs": [str(path) for path in self.outputs], "faces": self.record["faces"]}
        if "counts" in self.record:
            fields["counts"] = self.record["counts"]
        return {**fields, "notes": list(self.notes)}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be written: edits, or with ``sweep`` grids instead; with ``sidecar`` their records beside them."""

    config: EditConfig
    sweep: Sweep | None = None
    sidecar: bool = False


def edit_files(
    sources: Sequence[Source],
    targets: Sequence[Path],
    *,
    load_models: Callable[[], tuple[SweepEditor, FaceDetector]],
    wanted: Wanted,
    progress: Progress,
) -> list[FileOutcome]:
    """Edit ``sources[i]`` into ``targets[i]``. ``load_models`` is called once, when there is something to edit.

    Whatever goes wrong with one file becomes its outcome; settings and models concern all, and leave.
    """
    models: tuple[SweepEditor, FaceDetector] | None = None
    unloadable: Exception | None = None

    def load() -> tuple[SweepEditor, FaceDetector]:
        nonlocal models, unloadable
        try:
            models = models or load_models()
        except Exception as error:
            unloadable = error
            raise
        return models

    outcomes = []
    with progress.task("files" if any(source.is_video for source in sources) else "photos", len(sources)) as task:
        for source, target in zip(sources, targets, strict=True):
            try:
                outcome = _edit_file(source, target, load, wanted, progress)
                for note in outcome.notes:
                    progress.note(f"{source.path}: {note}")
                outcomes.append(outcome)
            except Exception as error:
                if concerns_all(error) or error is unloadable:
                    raise
                bad = as_bad_input(error, source.path)
                outcomes.append(FileOutcome(source.path, bad.reason, error=str(bad)))
            task.advance()
    return outcomes


def _edit_file(
    source: Source,
    target: Path,
    load: Callable[[], tuple[SweepEditor, FaceDetector]],
    wanted: Wanted,
    progress: Progress,
) -> FileOutcome:
    config = wanted.config
    outputs: tuple[Path, ...] = (target,)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_video:
        check_video(source.path)
        made = edit_video(source.path, target, *load(), config, progress=progress)
        notes, record = made.notes, made.provenance
    else:
        photo = load_photo(source.path)
        if wanted.sweep is not None:
            grid, record = sweep_photo(photo, *load(), config, wanted.sweep)
            write_png(target, grid, record, COMPOSITE)
            notes = photo.notes
        else:
            # Only the small fields outlive this: photos can be large and many.
            result = edit_photo(photo, *load(), config)
            outputs, notes = _save(target, photo, result, config), photo.notes + _describe_unchanged(result, config)
            record = result.provenance
    if wanted.sidecar:
        outputs += tuple(write_sidecar(path, record) for path in outputs)
    return FileOutcome(source.path, "ok", outputs, notes=notes, record=record)


def count_outcomes(outcomes: Sequence[FileOutcome]) -> dict[str, Any]:
    """``total``, ``ok`` and ``rejected_by_reason``; total is always ok plus rejected."""
    by_status = Counter(outcome.status for outcome in outcomes)
    return {"total": len(outcomes), "ok": by_status.pop("ok", 0), "rejected_by_reason": dict(sorted(by_status.items()))}


def _save(target: Path, photo: Photo, result: EditResult, config: EditConfig) -> tuple[Path, ...]:
    outputs = [target]
    if config.crop_only:
        several = len(result.faces) > 1
        outputs = [crop_path(target, i + 1) if several else target for i in range(len(result.faces))]
        for path, face in zip(outputs, result.faces, strict=True):
            save_crop(path, face.edited_SSC, grey=photo.color_channels == 1, record=result.provenance)
    else:
        save_photo(target, photo, result.stored_HWC, result.provenance)
    if config.progressive:
        strips = [[face.crop_SSC, *face.way_back, face.edited_SSC] for face in result.faces]
        sheet = lay_out([picture for strip in strips for picture in strip], len(strips[0]))
        write_png(way_back_path(target), sheet, result.provenance, COMPOSITE)
        outputs.append(way_back_path(target))
    return tuple(outputs)


def _describe_unchanged(result: EditResult, config: EditConfig) -> tuple[str, ...]:
    already = [
        face for face in result.faces if [face.source] == list(config.mixture) and face.source_probability is not None
    ]
    return tuple(f"already looks {face.source} (probability {face.source_probability:.2f})" for face in already)
