"""``facediff models``: find, check and describe models; the other verbs have modules of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facediff_cli.commands import models_experts, models_export, models_hub, models_import
from facediff_cli.options import ConfigOption, DryRunOption, JsonOption, OutFolderOption, SetOption
from facediff_cli.reporting import emit, format_size
from facediff_cli.stage_command import load_given, load_input, run_stage

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer()

NameArgument = Annotated[str, typer.Argument(metavar="NAME|DIR", help="A model's name, or a folder with a manifest.")]


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the models that came with facediff and those in the cache folder (`$FACEDIFF_HOME/models`).

    **Examples**

    * `facediff models list`
    """
    from stages.common.weights import cache_folder, list_models

    entries = list_models()
    payload = {
        "models": [{"name": e.name, "path": str(e.root), "bundled": e.bundled} for e in entries],
        "cache": str(cache_folder()),
    }

    def render(console: Console) -> None:
        for entry in entries:
            origin = "bundled" if entry.bundled else "cached"
            console.print(f"{entry.name:<20} {origin:<8} {entry.root}", markup=False)
        if not entries:
            console.print(f"no models; the cache folder is {cache_folder()}", markup=False)

    emit(payload, as_json, render)


@app.command()
def path(name: NameArgument, as_json: JsonOption = False) -> None:
    """Print the folder of a model, for use in scripts.

    **Examples**

    * `ls $(facediff models path facediff-mini)`
    """
    from stages.common.weights import find_model

    root = str(find_model(name).root.resolve())
    emit({"path": root}, as_json, lambda console: console.print(root, markup=False))


@app.command()
def verify(name: NameArgument, as_json: JsonOption = False) -> None:
    """Check every file of a model against its manifest: nothing altered, nothing missing, nothing added.

    **Examples**

    * `facediff models verify facediff-mini`

    * `facediff models verify runs/ldm`
    """
    from stages.common.weights import resolve_model

    artifact = resolve_model(name)
    files = len(artifact.manifest.outputs)
    payload = {"path": str(artifact.root), "artifact_id": artifact.manifest.artifact_id, "files": files, "problems": []}
    emit(payload, as_json, lambda console: console.print(f"{artifact.root}: {files} files as written", markup=False))


@app.command()
def describe(
    name: Annotated[str, typer.Argument(metavar="NAME|DIR|PRESET", help="A model, or a preset of `facediff train`.")],
    as_json: JsonOption = False,
) -> None:
    """Show a model's networks with their parameter counts and sizes, its noise schedule, licence and emotions.

    **Examples**

    * `facediff models describe facediff-mini`

    * `facediff models describe affectnet-128 --json`
    """
    from facediff_cli.model_report import describe_folder, describe_preset
    from stages.common.config import preset_names
    from stages.common.errors import MissingModelError
    from stages.common.weights import find_model

    try:
        report = describe_folder(find_model(name))
    except MissingModelError as error:
        presets = preset_names()
        if name not in presets:
            raise MissingModelError(error.what, f"{error.hint}; presets: {', '.join(presets)}") from error
        report = describe_preset(name)
    emit(report, as_json, lambda console: _render_report(console, report))


@app.command()
def bundle(
    ldm: Annotated[Path, typer.Option("--ldm", metavar="RUN", help="The folder that `train ldm` wrote.")],
    emotion: Annotated[Path, typer.Option("--emotion", metavar="RUN", help="The folder that `train emotion` wrote.")],
    out: OutFolderOption,
    expression: Annotated[
        Path | None, typer.Option("--expression", metavar="RUN", help="The folder that `train expression` wrote.")
    ] = None,
    upscaler: Annotated[
        Path | None, typer.Option("--upscaler", metavar="RUN", help="The folder that `train upscaler` wrote.")
    ] = None,
    config: ConfigOption = "mini",
    settings: SetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Join a trained model, an emotion classifier and an expression network, in half precision, in one folder.

    **Examples**

    * `facediff models bundle --ldm runs/ldm --emotion runs/emotion --expression runs/expression --out runs/my-model`

    * `facediff edit --emotion happy photo.jpg --model runs/my-model`
    """
    from stages.bundle.config import BundleConfig
    from stages.bundle.run import BUNDLE
    from stages.common.config import resolve_config

    run_stage(
        BUNDLE,
        resolve_config(BundleConfig, "bundle", config, settings or ()),
        {
            "ldm": load_input(ldm, "latent_diffusion"),
            "emotion": load_input(emotion, "emotion_classifier"),
            **load_given(expression=(expression, "expression_network"), upscaler=(upscaler, "upscaler")),
        },
        out,
        dry_run=dry_run,
        as_json=as_json,
    )


app.add_typer(models_import.app, name="import", help="Turn foreign checkpoints into models.", no_args_is_help=True)
app.command()(models_export.export)
app.command()(models_hub.pull)
app.command()(models_hub.push)
app.command()(models_experts.experts)
app.command()(models_experts.fetch)


def _render_report(console: Console, report: dict[str, Any]) -> None:
    console.print(f"{report['name']}  {report['kind']}", markup=False, style="bold")
    for name, network in report["networks"].items():
        size = f"  {format_size(network['bytes']):>12}" if "bytes" in network else ""
        console.print(f"  {name:<20} {network['parameters']:>14,} parameters{size}", markup=False)
    size = f"  {format_size(report['bytes']):>12}" if "bytes" in report else ""
    console.print(f"  {'together':<20} {report['parameters']:>14,} parameters{size}", markup=False)
    if report.get("schedule"):
        console.print("  schedule   " + ", ".join(f"{k} {v}" for k, v in report["schedule"].items()), markup=False)
    if report.get("licence"):
        console.print(f"  licence    {report['licence']}", markup=False)
    if report.get("emotions"):
        console.print(f"  emotions   {', '.join(report['emotions'])}", markup=False)
