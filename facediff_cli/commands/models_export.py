"""``facediff models export``: models for other programs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from facediff_cli.options import DryRunOption, JsonOption, OutFolderOption
from facediff_cli.stage_command import run_stage


class Format(StrEnum):
    """Diffusers' layout, or ONNX graphs of the denoiser and the decoder."""

    SAFETENSORS = "safetensors"
    ONNX = "onnx"


class Dtype(StrEnum):
    """The precision of the weights."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


def export(
    name: Annotated[str, typer.Argument(metavar="NAME|DIR", help="A model's name, or a folder with a manifest.")],
    out: OutFolderOption,
    format_: Annotated[Format, typer.Option("--format", "-f", help="What to write.")] = Format.SAFETENSORS,
    dtype: Annotated[Dtype, typer.Option("--dtype", help="Precision of the weights; ONNX is float32.")] = Dtype.FLOAT32,
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="Refuse an ONNX file that differs from torch by more.")
    ] = 1e-3,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a model for other programs: diffusers' layout in a chosen precision, or ONNX compared with torch.

    **Examples**

    * `facediff models export facediff-mini --out runs/mini-fp32`

    * `facediff models export facediff-mini --format onnx --out runs/mini-onnx`
    """
    from stages.common.config import make_config
    from stages.common.weights import resolve_model
    from stages.export.config import ExportConfig
    from stages.export.run import export_spec

    config = make_config(ExportConfig, {"format": format_.value, "dtype": dtype.value, "tolerance": tolerance})
    model = resolve_model(name)
    run_stage(export_spec(config, model.manifest.kind), config, {"model": model}, out, dry_run=dry_run, as_json=as_json)
