"""``facediff expression``: what the faces in photos do, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facediff_cli.options import DEFAULT_MODEL, Detector, Device, DeviceOption, JsonOption, ModelOption
from facediff_cli.reporting import emit, print_error
from facediff_cli.stage_command import resolve_device

if TYPE_CHECKING:
    from rich.console import Console

    from stages.common.errors import BadInputError
    from stages.expression.faces import Measure, MeasuredFace

_SHOWN = 0.05
"""Coefficients below this are left out of the table."""


class Teacher(StrEnum):
    """What may measure in place of the model's own network."""

    MEDIAPIPE = "mediapipe"


def expression(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Photos with one face or several.")],
    draw: Annotated[
        Path | None,
        typer.Option("--draw", metavar="DIR", help="Also write a picture of each: the mesh, and bars beside it."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="List all 51 coefficients, also those near 0.")] = False,
    teacher: Annotated[
        Teacher | None, typer.Option("--teacher", help="Measure by this instead (the extra `expression`).")
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    detector: Annotated[
        Detector, typer.Option("--detector", help="dlib works offline; auto takes FAN if it can.")
    ] = Detector.DLIB,
    device: DeviceOption = Device.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Measure the expression of each face: 51 coefficients from 0 to 1, the strongest first, and how sure they are.

    Left and right are the person's own. With --json also the 478 points of each face, in pixels of the photo. Exit
    code 3 if a photo cannot be read or shows no face; the others are measured all the same.

    **Examples**

    * `facediff expression portrait.jpg`

    * `facediff expression --draw drawn *.jpg`

    * `facediff expression --teacher mediapipe --json portrait.jpg`
    """
    from stages.common.errors import BadInputError

    measure, measured_by = _load_measure(model, teacher, resolve_device(device.value))
    results: list[tuple[Path, list[MeasuredFace]]] = []
    failures: list[tuple[Path, BadInputError]] = []
    find_faces = _load_detector(detector, resolve_device(device.value))
    names = _drawing_names(photos)
    for photo, name in zip(photos, names, strict=True):
        try:
            results.append((photo, _measure_photo(photo, find_faces, measure, None if draw is None else draw / name)))
        except BadInputError as error:
            if len(photos) == 1:
                raise
            failures.append((photo, error))
    for _, failure in failures:
        print_error(str(failure), failure.exit_code, False)
    payload = {
        "measured_by": measured_by,
        "photos": [{"path": str(photo), "faces": [_as_json(face) for face in faces]} for photo, faces in results],
        "failed": [{"path": str(photo), "error": str(failure)} for photo, failure in failures],
    }
    emit(payload, as_json, lambda console: _render(console, results, every))
    if failures:
        raise typer.Exit(BadInputError.exit_code)


def _load_measure(model: str, teacher: Teacher | None, device: str) -> tuple[Measure, str]:
    """What measures, and its name for people. Raises ``MissingModelError``."""
    if teacher is not None:
        from stages.common.face.landmarker import FaceLandmarker

        return FaceLandmarker(), teacher.value
    from stages.common.checkpoint import load_expression_network
    from stages.common.errors import MissingModelError
    from stages.common.face.student import ExpressionStudent
    from stages.common.lora import find_base
    from stages.common.manifest import ArtifactKind
    from stages.common.weights import resolve_model

    artifact = resolve_model(model)
    if artifact.manifest.kind is ArtifactKind.LORA:
        artifact = find_base(artifact.root)
    network = load_expression_network(artifact.root, device)
    if network is None:
        raise MissingModelError(
            f"model {artifact.root.name} has no expression network",
            "Give one with --model (`facediff train expression` writes one), or --teacher mediapipe",
        )
    return ExpressionStudent(network, device), f"model {artifact.root.name}"


def _load_detector(detector: Detector, device: str) -> Any:
    from stages.common.face.detect import load_detector

    return load_detector(detector.value, device)


def _drawing_names(photos: Sequence[Path]) -> list[str]:
    """A file name for each photo, numbered where two have the same."""
    names: list[str] = []
    for photo in photos:
        name, number = f"{photo.stem}-expression.png", 2
        while name in names:
            name, number = f"{photo.stem}-expression-{number}.png", number + 1
        names.append(name)
    return names


def _measure_photo(photo: Path, find_faces: Any, measure: Measure, drawing: Path | None) -> list[MeasuredFace]:
    """Its faces, drawn to the file ``drawing`` where there is one. Raises ``BadInputError``."""
    from stages.common.images import read_rgb
    from stages.expression.faces import measure_faces

    rgb = read_rgb(photo)
    faces = measure_faces(rgb, photo, find_faces, measure)
    if drawing is not None:
        from PIL import Image

        from stages.expression.draw import draw_measured

        drawing.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_measured(rgb, faces)).save(drawing)
    return faces


def _as_json(measured: MeasuredFace) -> dict[str, Any]:
    found = measured.expression
    shown: dict[str, Any] = {"box_xyxy": [round(float(edge), 1) for edge in measured.face.box_xyxy]}
    if found is None:
        return shown | {"confidence": 0.0, "coefficients": None, "points": None}
    return shown | {
        "confidence": round(found.confidence, 4),
        "coefficients": {name: round(value, 5) for name, value in found.named().items()},
        "points": [[round(float(value), 2) for value in point] for point in found.points_P3],
    }


def _render(console: Console, results: Sequence[tuple[Path, Sequence[MeasuredFace]]], every: bool) -> None:
    for photo, faces in results:
        for number, measured in enumerate(faces, 1):
            where = f"{photo}, face {number} of {len(faces)} from the left" if len(faces) > 1 else str(photo)
            if measured.expression is None:
                console.print(f"{where}: not recognised as a face", markup=False, style="bold")
                continue
            console.print(f"{where}  confidence {measured.expression.confidence:.2f}", markup=False, style="bold")
            for name, value in sorted(measured.expression.named().items(), key=lambda item: -item[1]):
                if every or value >= _SHOWN:
                    bar = "\u2588" * round(30 * value)
                    console.print(f"  {name:<20} {value:5.2f}  {bar}".rstrip(), markup=False)
