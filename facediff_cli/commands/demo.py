"""``facediff demo``: the bundled portrait in every emotion that a model can do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facediff_cli.commands.edit import DEFAULT_MODEL, ModelOption, load_models
from facediff_cli.options import Device, DeviceOption, DryRunOption, JsonOption
from facediff_cli.reporting import RichProgress, emit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the pictures.")] = Path("demo"),
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = Device.AUTO,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Edit a portrait that comes along into every emotion, and lay the results side by side in `sheet.png`.

    **Examples**

    * `facediff demo`

    * `facediff demo --out pictures --model runs/my-model`
    """
    from stages.common.weights import resolve_model
    from stages.common.writable import check_writable
    from stages.edit.demo import SHEET_NAME, demo_outputs, make_demo

    check_writable(out / SHEET_NAME, create=not dry_run)
    artifact = resolve_model(model)
    if dry_run:
        from stages.common.checkpoint import load_model_info

        _show(demo_outputs(out, load_model_info(artifact.root).supported), artifact.root.name, as_json, dry_run=True)
        return
    editor, detector = load_models(artifact, device.value, "dlib")
    _show(make_demo(out, editor, detector, RichProgress()), artifact.root.name, as_json, dry_run=False)


def _show(paths: Sequence[Path], model: str, as_json: bool, *, dry_run: bool) -> None:
    payload = {"dry_run": dry_run, "model": model, "outputs": [str(p) for p in paths], "sheet": str(paths[-1])}

    def render(console: Console) -> None:
        for path in paths:
            console.print(str(path), markup=False)

    emit(payload, as_json, render)
