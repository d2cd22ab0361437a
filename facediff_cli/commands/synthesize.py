"""``facediff synthesize``: new faces from pure noise."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from facediff_cli.options import (
    DEFAULT_MODEL,
    ClassifierOption,
    ClassifierScaleOption,
    Device,
    DeviceOption,
    DryRunOption,
    JsonOption,
    ModelOption,
    OutFolderOption,
    ResumeOption,
    SeedOption,
    SetOption,
)
from facediff_cli.stage_command import load_input, run_stage


class Sampler(StrEnum):
    """The way from noise to a face."""

    DDIM = "ddim"
    DDPM = "ddpm"
    PLMS = "plms"
    DPMPP_2M = "dpmpp-2m"
    UNIPC = "unipc"


def synthesize(
    out: OutFolderOption,
    emotion: Annotated[
        list[str] | None, typer.Option("--emotion", "-e", help="An expression (repeatable); all, if left out.")
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Faces of each expression.")] = 8,
    first: Annotated[int, typer.Option("--first", min=0, help="Number of the first face.")] = 0,
    sampler: Annotated[
        Sampler, typer.Option("--sampler", help="ddpm is ancestral; dpmpp-2m and unipc need the fewest steps.")
    ] = Sampler.DDIM,
    steps: Annotated[int, typer.Option("--steps", min=1, max=999, help="Sampling steps.")] = 50,
    guidance: Annotated[
        float, typer.Option("--guidance", min=0, max=50, help="How hard to push towards the expression; 1 does not.")
    ] = 1.0,
    eta: Annotated[
        float | None,
        typer.Option("--eta", min=0, max=1, help="Noise that ddim adds on its way: 0 none, 1 (default) as ddpm."),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Faces that a GPU makes together.")] = 32,
    classifier: ClassifierOption = None,
    classifier_scale: ClassifierScaleOption = 1.0,
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = Device.AUTO,
    seed: SeedOption = 0,
    settings: SetOption = None,
    resume: ResumeOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make new faces with given expressions from pure noise: pictures, a sheet for each expression, and a table.

    A face depends on the seed, its expression and its number, so `--first 17 --count 1` makes the eighteenth again.
    With `--set shared_noise=true` equal numbers start from equal noise under every expression.

    **Examples**

    * `facediff synthesize --out faces`

    * `facediff synthesize -e happy -e sad --count 64 --sampler unipc --steps 20 --guidance 2 --out faces`

    * `facediff synthesize --steps 500 --set bound=null --count 5000 --device cuda --resume --out faces-thesis`
    """
    from stages.common.config import make_config, set_field
    from stages.common.model_input import as_model_input
    from stages.common.weights import resolve_model
    from stages.synthesize.config import SynthesizeConfig
    from stages.synthesize.run import synthesize_stage

    fields: dict[str, Any] = {
        "emotions": emotion or (),
        "first": first,
        "count": count,
        "sampler": sampler.value,
        "steps": steps,
        "guidance": guidance,
        "eta": eta,
    }
    inputs = as_model_input(resolve_model(model))
    if classifier is not None:
        inputs["classifier"] = load_input(classifier, "noisy_classifier")
        fields["classifier_scale"] = classifier_scale
    for setting in settings or ():
        set_field(fields, setting)
    run_stage(
        synthesize_stage(batch),
        make_config(SynthesizeConfig, fields),
        inputs,
        out,
        seed=seed,
        resume=resume,
        device=device.value,
        dry_run=dry_run,
        as_json=as_json,
    )
