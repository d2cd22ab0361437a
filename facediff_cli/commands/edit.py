"""``facediff edit``: another expression on the face in a real photo."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facediff_cli.options import (
    ClassifierOption,
    ClassifierScaleOption,
    Device,
    DeviceOption,
    DryRunOption,
    JsonOption,
    SeedOption,
    SetOption,
)
from facediff_cli.reporting import RichProgress, emit, print_error
from facediff_cli.stage_command import load_input, resolve_device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from stages.common.editor import Editor
    from stages.common.face.detect import FaceDetector
    from stages.common.manifest import Artifact
    from stages.edit.batch import FileOutcome
    from stages.edit.config import EditConfig
    from stages.edit.run import FaceEditor

DEFAULT_MODEL = "facediff-mini"
_EXIT_BAD_INPUT = 3


class Blend(StrEnum):
    """How the edit goes back into the photo."""

    DELTA = "delta"
    PASTE = "paste"


class RoundTripSampler(StrEnum):
    """The way into noise and back."""

    DDIM = "ddim"
    EXACT = "exact"
    DPMPP_2M = "dpmpp-2m"
    THESIS = "thesis"


class Detector(StrEnum):
    """What finds the face."""

    AUTO = "auto"
    FAN = "fan"
    DLIB = "dlib"


ModelOption = Annotated[
    str, typer.Option("--model", "-m", metavar="NAME|DIR", help="A model by name (`facediff models list`) or a folder.")
]
DetectorOption = Annotated[Detector, typer.Option("--detector", help="dlib works offline; auto takes FAN if it can.")]

RoundTripOption = Annotated[
    RoundTripSampler,
    typer.Option(
        "--sampler",
        help="dpmpp-2m needs half the steps; exact loses least, in 3 times the time; thesis: as its code.",
    ),
]


def edit(
    photos: Annotated[list[Path], typer.Argument(metavar="IMG...", help="Photos: PNG, JPEG, WebP, TIFF, BMP or GIF.")],
    emotion: Annotated[str, typer.Option("--emotion", "-e", help="The expression to give, for example happy.")],
    source: Annotated[
        str, typer.Option("--source", metavar="auto|EMOTION", help="The expression in the photo; auto looks.")
    ] = "auto",
    strength: Annotated[
        int, typer.Option("--strength", help="How far to go back into noise, 1 to 1000: more changes more.")
    ] = 500,
    guidance: Annotated[
        float | None,
        typer.Option(
            "--guidance", help="How hard to push; if left out, 3, or what the model recommends for a neutral face."
        ),
    ] = None,
    steps: Annotated[int, typer.Option("--steps", help="Sampling steps there, and as many back.")] = 40,
    sampler: RoundTripOption = RoundTripSampler.DDIM,
    blend: Annotated[
        Blend, typer.Option("--blend", help="delta adds the change to the photo's own pixels; paste replaces them.")
    ] = Blend.DELTA,
    face: Annotated[
        str, typer.Option("--face", metavar="N|all|largest", help="Which face, counted from the left.")
    ] = "largest",
    crop_only: Annotated[bool, typer.Option("--crop-only", help="Write the aligned edited face alone.")] = False,
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", metavar="PATH", help="A file, or a folder (end it with /). Default: here."),
    ] = None,
    classifier: ClassifierOption = None,
    classifier_scale: ClassifierScaleOption = 1.0,
    model: ModelOption = DEFAULT_MODEL,
    detector: DetectorOption = Detector.DLIB,
    device: DeviceOption = Device.AUTO,
    seed: SeedOption = 0,
    settings: SetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Give the face in a photo another expression, and leave every pixel outside the face as it is.

    The face is found, aligned, inverted by DDIM under the expression it has, sampled under the one you ask for, and put
    back into the full-size photo. Size, orientation and colour profile are kept, and the file says how it was made.

    **Examples**

    * `facediff edit --emotion happy portrait.jpg`

    * `facediff edit -e surprise --strength 600 --out results/ *.jpg`

    * `facediff edit -e sad --source neutral --face 2 --out group-sad.png group.png`

    * `facediff edit -e anger --crop-only --json portrait.png`

    * `facediff edit -e happy --sampler dpmpp-2m --steps 20 --set guided=back portrait.jpg`
    """
    from stages.common.weights import resolve_model
    from stages.edit.config import make_edit_config
    from stages.edit.save import check_writable, plan_outputs

    config = make_edit_config(
        settings or (),
        emotion=emotion,
        source=source,
        strength=strength,
        guidance=guidance,
        steps=steps,
        sampler=sampler.value,
        blend=blend.value,
        face=face,
        crop_only=crop_only,
        seed=seed,
        classifier_scale=0.0 if classifier is None else classifier_scale,
    )
    guide = None if classifier is None else load_input(classifier, "noisy_classifier")
    as_folder = out is not None and out.endswith(("/", os.sep))
    targets = plan_outputs(photos, Path(out) if out else None, config.target_name, crop_only=crop_only, as_folder=as_folder)
    for target in targets:
        check_writable(target, create=not dry_run)
    artifact = resolve_model(model)
    if dry_run:
        _show_plan(photos, targets, artifact, config, as_json)
        return
    outcomes = _run(photos, targets, artifact, config, guide=guide, device=device.value, detector=detector.value)
    _show(outcomes, artifact, config, as_json)


def load_models(artifact: Artifact, device: str, detector: str) -> tuple[Editor, FaceDetector]:
    """The networks of a checked model, and a face detector."""
    from stages.common.editor import load_editor
    from stages.common.face.detect import load_detector

    resolved = resolve_device(device)
    return load_editor(artifact.root, resolved), load_detector(Detector(detector).value, resolved)


def _run(
    photos: Sequence[Path],
    targets: Sequence[Path],
    artifact: Artifact,
    config: EditConfig,
    *,
    guide: Artifact | None,
    device: str,
    detector: str,
) -> list[FileOutcome]:
    from stages.edit.batch import edit_files
    from stages.edit.run import check_supported

    def load() -> tuple[FaceEditor, FaceDetector]:
        editor, find_faces = load_models(artifact, device, detector)
        check_supported(editor, config, artifact.root.name)
        return editor if guide is None else editor.guided_by(guide), find_faces

    return edit_files(photos, targets, load_models=load, config=config, progress=RichProgress())


def _show(outcomes: Sequence[FileOutcome], artifact: Artifact, config: EditConfig, as_json: bool) -> None:
    from stages.edit.batch import count_outcomes

    failed = [outcome for outcome in outcomes if outcome.result is None]
    for outcome in failed:
        print_error(outcome.error, _EXIT_BAD_INPUT, False)
    payload: dict[str, Any] = {
        **count_outcomes(outcomes),
        "emotion": config.emotion,
        "model": artifact.root.name,
        "artifact_id": artifact.manifest.artifact_id,
        "results": [outcome.as_json() for outcome in outcomes],
    }
    if failed:
        payload |= {"error": failed[0].error, "exit_code": _EXIT_BAD_INPUT}

    def render(console: Console) -> None:
        for outcome in outcomes:
            for path in outcome.outputs:
                console.print(f"{path}  ({_describe(outcome)} -> {config.emotion})", markup=False)

    emit(payload, as_json, render)
    if failed:
        if len(outcomes) > 1:
            print_error(f"{len(failed)} of {len(outcomes)} photos could not be edited", _EXIT_BAD_INPUT, False)
        raise typer.Exit(_EXIT_BAD_INPUT)


def _describe(outcome: FileOutcome) -> str:
    faces = outcome.result.faces if outcome.result else ()
    return ", ".join(
        face.source if face.source_probability is None else f"{face.source} {face.source_probability:.2f}"
        for face in faces
    )


def _show_plan(
    photos: Sequence[Path], targets: Sequence[Path], artifact: Artifact, config: EditConfig, as_json: bool
) -> None:
    planned = list(zip(photos, targets, strict=True))
    payload = {
        "dry_run": True,
        "model": artifact.root.name,
        "artifact_id": artifact.manifest.artifact_id,
        "config": config.model_dump(mode="json"),
        "planned": [{"input": str(photo), "output": str(target)} for photo, target in planned],
    }

    def render(console: Console) -> None:
        for photo, target in planned:
            console.print(f"{photo} -> {target}", markup=False)
        console.print(f"  model {artifact.root.name}, {config.source} -> {config.emotion}", markup=False)

    emit(payload, as_json, render)
