"""``facediff demo``: the bundled portrait in every emotion that a model can do, or a face that talks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facediff_cli.commands.edit import load_models
from facediff_cli.commands.talk import DEFAULT_TALKER, load_talker_artifact
from facediff_cli.options import DEFAULT_MODEL, Device, DeviceOption, DryRunOption, JsonOption
from facediff_cli.reporting import RichProgress, emit
from facediff_cli.stage_command import resolve_device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

_STRANGER = "the bundled talker knows one man's mouth and gives it to the portrait; --clip dubs a video of yours"


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the pictures.")] = Path("demo"),
    talk: Annotated[bool, typer.Option("--talk", help="Instead, let a face talk: talk.mp4, talk-strip.png.")] = False,
    clip: Annotated[
        Path | None,
        typer.Option("--clip", metavar="VIDEO", help="With --talk: dub this clip with its own sound, not a portrait."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME|DIR", help="A model by name or a folder.")
    ] = None,
    device: DeviceOption = Device.AUTO,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Edit a portrait that comes along into every emotion, and lay the results side by side in `sheet.png`.

    **Examples**

    * `facediff demo`

    * `facediff demo --out pictures --model runs/my-model`

    * `facediff demo --talk --clip interview.mp4`
    """
    if talk:
        _talk(out, clip, model or DEFAULT_TALKER, device, dry_run=dry_run, as_json=as_json)
        return
    from stages.common.weights import resolve_model
    from stages.common.writable import check_writable
    from stages.edit.demo import SHEET_NAME, demo_outputs, make_demo

    check_writable(out / SHEET_NAME, create=not dry_run)
    artifact = resolve_model(model or DEFAULT_MODEL)
    if dry_run:
        from stages.common.checkpoint import load_model_info

        _show(demo_outputs(out, load_model_info(artifact.root).editable), artifact.root.name, as_json, dry_run=True)
        return
    editor, detector = load_models(artifact, device.value, "dlib")
    _show(make_demo(out, editor, detector, RichProgress()), artifact.root.name, as_json, dry_run=False)


def _talk(out: Path, clip: Path | None, model: str, device: Device, *, dry_run: bool, as_json: bool) -> None:
    from stages.common.face.detect import load_detector
    from stages.common.talking import load_talking_model
    from stages.common.writable import check_writable
    from stages.talk.demo import STRIP_NAME, VIDEO_NAME, make_talk_demo

    check_writable(out / VIDEO_NAME, create=not dry_run)
    artifact = load_talker_artifact(model)
    paths = [out / VIDEO_NAME, out / STRIP_NAME]
    if not dry_run:
        talker = load_talking_model(artifact.root, resolve_device(device.value))
        progress = RichProgress()
        paths, _ = make_talk_demo(out, clip, talker, load_detector("dlib"), progress)
        if clip is None and model == DEFAULT_TALKER:
            progress.note(_STRANGER)
    _show(paths, artifact.root.name, as_json, dry_run=dry_run)


def _show(paths: Sequence[Path], model: str, as_json: bool, *, dry_run: bool) -> None:
    payload = {"dry_run": dry_run, "model": model, "outputs": [str(p) for p in paths], "sheet": str(paths[-1])}

    def render(console: Console) -> None:
        for path in paths:
            console.print(str(path), markup=False)

    emit(payload, as_json, render)
