"""``facediff edit``: another expression on the face in a real photo."""

from __future__ import annotations

import os
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facediff_cli.edit_report import show_outcomes, show_plan
from facediff_cli.options import (
    DEFAULT_MODEL,
    ClassifierOption,
    ClassifierScaleOption,
    Detector,
    Device,
    DeviceOption,
    DryRunOption,
    JsonOption,
    ModelOption,
    RoundTripSampler,
    SeedOption,
    SetOption,
)
from facediff_cli.reporting import RichProgress
from facediff_cli.stage_command import load_input, resolve_device

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stages.common.editor import Editor
    from stages.common.face.detect import FaceDetector
    from stages.common.manifest import Artifact
    from stages.edit.batch import FileOutcome, Wanted
    from stages.edit.config import EditConfig
    from stages.edit.inputs import Source
    from stages.edit.like import Like
    from stages.edit.sweep import SweepEditor


_OPTIONS = {"copied": "copy_from"}
"""The options whose settings have other names."""


class Blend(StrEnum):
    """How the edit goes back into the photo."""

    WARP = "warp"
    DELTA = "delta"
    PASTE = "paste"


BaseOption = Annotated[
    Path | None,
    typer.Option(
        "--base", metavar="DIR", help="The model that an update from `finetune` changes, if not in the store."
    ),
]
DetectorOption = Annotated[Detector, typer.Option("--detector", help="dlib works offline; auto takes FAN if it can.")]


def edit(
    context: typer.Context,
    photos: Annotated[
        list[Path],
        typer.Argument(metavar="FILE|DIR...", help="Photos, videos, folders of them, or patterns such as '**/*.jpg'."),
    ],
    emotion: Annotated[
        str | None,
        typer.Option("--emotion", "-e", help="The expression to give: happy, or a mixture: happy:0.7,surprise:0.3."),
    ] = None,
    amount: Annotated[
        float, typer.Option("--amount", help="How much of it, 0 to 1.5: 0 is the face's own, above 1 overdoes it.")
    ] = 1.0,
    au: Annotated[
        str | None, typer.Option("--au", metavar="AU12=0.8,AU4L=0.3", help="Action units to add; 1 is a strong one.")
    ] = None,
    expression: Annotated[
        str | None,
        typer.Option(
            "--expression",
            metavar="jawOpen=0.4,browInnerUp=+0.2",
            help="Coefficients to set (0.4) or to add to (+0.2); see `facediff expression`.",
        ),
    ] = None,
    valence: Annotated[
        float | None, typer.Option("--valence", help="More pleasant (to 1) or unpleasant (to -1) to look at.")
    ] = None,
    arousal: Annotated[float | None, typer.Option("--arousal", help="More excited (to 1) or calm (to -1).")] = None,
    copy_from: Annotated[
        Path | None, typer.Option("--copy-from", metavar="PHOTO", help="Give the expression of the face in this photo.")
    ] = None,
    source: Annotated[
        str, typer.Option("--source", metavar="auto|EMOTION", help="The expression in the photo; auto looks.")
    ] = "auto",
    strength: Annotated[
        int | None,
        typer.Option("--strength", help="How far to go back into noise, 1 to 1000. Default: what suits the model."),
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option("--guidance", help="How hard to push. Default: what suits the model."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", help="Sampling steps there, and as many back. Default: what suits the model."),
    ] = None,
    sampler: Annotated[
        RoundTripSampler | None, typer.Option("--sampler", help="The solver. Default: what suits the model.")
    ] = None,
    blend: Annotated[
        Blend,
        typer.Option(
            "--blend", help="warp moves the photo's pixels, delta adds the change to them, paste replaces them."
        ),
    ] = Blend.WARP,
    face: Annotated[
        str, typer.Option("--face", metavar="N|all|largest", help="Which face, counted from the left.")
    ] = "largest",
    crop_only: Annotated[bool, typer.Option("--crop-only", help="Write the aligned edited face alone.")] = False,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Instead of an edit, a labelled grid of strengths by guidance scales.")
    ] = False,
    strengths: Annotated[str, typer.Option("--strengths", help="The rows of --sweep.")] = "400,500,600",
    guidances: Annotated[str, typer.Option("--guidances", help="The columns of --sweep.")] = "1,2,3,4,5",
    progressive: Annotated[
        bool, typer.Option("--progressive", help="Also write a strip of what the model saw on the way back.")
    ] = False,
    like: Annotated[
        Path | None,
        typer.Option("--like", metavar="RESULT", help="The settings of this result or sidecar; options are stronger."),
    ] = None,
    sidecar: Annotated[
        bool, typer.Option("--sidecar", help="Write RESULT.json beside each result: how it was made.")
    ] = False,
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", metavar="PATH", help="A file, or a folder (end it with /). Default: here."),
    ] = None,
    classifier: ClassifierOption = None,
    classifier_scale: ClassifierScaleOption = 1.0,
    model: ModelOption = DEFAULT_MODEL,
    base: BaseOption = None,
    detector: DetectorOption = Detector.DLIB,
    device: DeviceOption = Device.AUTO,
    seed: SeedOption = 0,
    settings: SetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Give the face in a photo or a video another expression, and leave everything outside the face as it is.

    The face is found, aligned, inverted by DDIM under the expression it has, sampled under the one you ask for, and put
    back into the full-size photo. Say what it is to be by emotion, action units, coefficients, valence and arousal, or
    by another photo. Size, orientation and colour profile are kept, and the file says how it was made.
    In a video it is followed from frame to frame; sound and timing are kept.

    **Examples**

    * `facediff edit --emotion happy portrait.jpg`

    * `facediff edit -e surprise --strength 600 --out results/ *.jpg`

    * `facediff edit -e sad --source neutral --face 2 --out group-sad.png group.png`

    * `facediff edit -e anger --crop-only --json portrait.png`

    * `facediff edit -e happy --sampler dpmpp-2m --steps 20 --set guided=back portrait.jpg`

    * `facediff edit -e happy:0.7,surprise:0.3 --amount 0.8 --out results/ holiday/ clip.mp4`

    * `facediff edit --au AU12=0.8,AU4=0.3 portrait.jpg`

    * `facediff edit --expression jawOpen=0.4,browInnerUp=+0.2 portrait.jpg`

    * `facediff edit --copy-from actor.jpg portrait.jpg`

    * `facediff edit --like portrait-happy.jpg other.jpg`
    """
    from stages.common.weights import resolve_model
    from stages.common.writable import check_writable
    from stages.edit.batch import Wanted
    from stages.edit.inputs import find_sources
    from stages.edit.save import plan_outputs, written_beside
    from stages.edit.sweep import cell_configs, parse_sweep

    fields = {
        "emotion": emotion,
        "amount": amount,
        "au": _parse_pairs("--au", au),
        "expression": _parse_pairs("--expression", expression),
        "valence": valence,
        "arousal": arousal,
        "copied": {} if copy_from is None else _expression_in(copy_from, model, device.value, detector.value),
        "source": source,
        "strength": strength,
        "guidance": guidance,
        "steps": steps,
        "sampler": None if sampler is None else sampler.value,
        "blend": blend.value,
        "face": face,
        "crop_only": crop_only,
        "progressive": progressive,
        "seed": seed,
        "classifier_scale": 0.0 if classifier is None else classifier_scale,
    }
    earlier = None if like is None else _read_like(like)
    config = _make_config(context, fields, settings or (), earlier)
    grid = parse_sweep(strengths, guidances) if sweep else None
    if grid is not None:
        cell_configs(config, grid)
    sources = find_sources(photos, Path(out) if out else None, RichProgress().note)
    crops = config.crop_only and config.face == "all"
    beside = partial(written_beside, way_back=config.progressive, sidecar=sidecar, crops=crops)
    targets = plan_outputs(
        sources,
        Path(out) if out else None,
        config.target_name,
        kind="sweep" if sweep else "crop" if config.crop_only else "picture",
        as_folder=(out is not None and out.endswith(("/", os.sep))) or any(photo.is_dir() for photo in photos),
        beside=beside,
        note=RichProgress().note,
    )
    for target in targets:
        check_writable(target, create=not dry_run)
    guide = None if classifier is None else load_input(classifier, "noisy_classifier")
    artifact = resolve_model(model if earlier is None or _is_given(context, "model") else _model_of(earlier, model))
    if earlier is not None:
        detector = detector if _is_given(context, "detector") else Detector(earlier.detector)
        _check_same(earlier, artifact, guide)
    if dry_run:
        show_plan(sources, targets, artifact, config, as_json)
        return
    wanted = Wanted(config, grid, sidecar)
    outcomes = _run(
        sources, targets, artifact, wanted, guide=guide, device=device.value, detector=detector.value, base=base
    )
    show_outcomes(outcomes, artifact, config, as_json)


def _expression_in(path: Path, model: str, device: str, detector: str) -> dict[str, float]:
    """The coefficients of the largest face in a photo, by name."""
    from stages.common.weights import resolve_model
    from stages.edit.photo import load_photo
    from stages.edit.run import measure_photo

    return measure_photo(load_photo(path), *load_models(resolve_model(model), device, detector))


def _parse_pairs(option: str, text: str | None) -> dict[str, str]:
    """ "a=1,b=+2" as names and values. Raises ``ConfigError``."""
    from stages.common.errors import ConfigError

    pairs = {}
    for part in filter(None, (text or "").split(",")):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not name or not value:
            raise ConfigError(f"{option}: {part!r} is not NAME=VALUE", "Such as AU12=0.8 or jawOpen=+0.2")
        pairs[name] = value
    return pairs


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether the option was written on the command line."""
    found = context.get_parameter_source(name)
    return found is not None and found.name == "COMMANDLINE"


def _read_like(path: Path) -> Like:
    from stages.edit.like import read_like

    return read_like(path)


def _make_config(
    context: typer.Context, fields: Mapping[str, Any], settings: Sequence[str], earlier: Like | None
) -> EditConfig:
    from stages.edit.config import make_edit_config

    if earlier is not None:
        given = {name: value for name, value in fields.items() if _is_given(context, _OPTIONS.get(name, name))}
        return make_edit_config(settings, **{**earlier.fields, **given})
    return make_edit_config(settings, **{name: value for name, value in fields.items() if value is not None})


def _model_of(earlier: Like, otherwise: str) -> str:
    """The name of the model that made an earlier result, where the store has it."""
    from stages.common.weights import model_with_id

    entry = model_with_id(earlier.model)
    return otherwise if entry is None else entry.name


def _check_same(earlier: Like, artifact: Artifact, guide: Artifact | None) -> None:
    from stages.common.errors import ConfigError

    if artifact.manifest.artifact_id != earlier.model:
        raise ConfigError(f"that result was made by another model, {earlier.model[:16]}", "Give it with --model")
    if (None if guide is None else guide.manifest.artifact_id) != earlier.classifier:
        wanted = "no classifier" if earlier.classifier is None else f"the classifier {earlier.classifier[:16]}"
        raise ConfigError(f"that result was made with {wanted}", "Give the same --classifier")


def load_models(
    artifact: Artifact, device: str, detector: str, base: Path | None = None
) -> tuple[Editor, FaceDetector]:
    """The networks of a checked model (``base`` as in ``load_editor``), and a face detector."""
    from stages.common.editor import load_editor
    from stages.common.face.detect import load_detector

    resolved = resolve_device(device)
    return load_editor(artifact.root, resolved, base), load_detector(Detector(detector).value, resolved)


def _run(
    sources: Sequence[Source],
    targets: Sequence[Path],
    artifact: Artifact,
    wanted: Wanted,
    *,
    guide: Artifact | None,
    device: str,
    detector: str,
    base: Path | None,
) -> list[FileOutcome]:
    from stages.edit.batch import edit_files
    from stages.edit.run import check_supported

    def load() -> tuple[SweepEditor, FaceDetector]:
        editor, find_faces = load_models(artifact, device, detector, base)
        check_supported(editor, wanted.config, artifact.root.name)
        return editor if guide is None else editor.guided_by(guide), find_faces

    return edit_files(sources, targets, load_models=load, wanted=wanted, progress=RichProgress())
