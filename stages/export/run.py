"""Write a model's networks for other programs: diffusers' layout in a chosen precision, or ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from stages.common.checkpoint import (
    load_basis,
    load_denoiser,
    load_emotion_classifier,
    load_expression_network,
    load_latent_space,
    load_model_info,
    load_schedule_config,
    load_upscaler,
    save_basis,
    save_denoiser,
    save_emotion_classifier,
    save_expression_network,
    save_latent_space,
    save_model_info,
    save_schedule,
    save_upscaler,
)
from stages.common.errors import BadInputError
from stages.common.lip_reader_checkpoint import load_lip_reader, save_lip_reader
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.talker_checkpoint import load_talker, load_talker_info, save_talker
from stages.export.config import ExportConfig
from stages.export.onnx_files import check_decoder, check_denoiser, require_onnx, write_decoder, write_denoiser
from stages.models.first_stage import FirstStage

NetworkT = TypeVar("NetworkT", bound=nn.Module)
_WITH_DENOISER = frozenset({ArtifactKind.LATENT_DIFFUSION, ArtifactKind.MODEL})
_WITH_FIRST_STAGE = _WITH_DENOISER | {ArtifactKind.FIRST_STAGE, ArtifactKind.TALKER}


def run(config: ExportConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Every network of the model in safetensors, or its decoder and denoiser in ONNX, compared with torch."""
    model = inputs["model"]
    write = _write_safetensors if config.format == "safetensors" else _write_onnx
    return ArtifactDraft(Counts(total=1, ok=1), write(config, model.root, model.manifest.kind, context))


def export_spec(config: ExportConfig, kind: ArtifactKind) -> StageSpec[ExportConfig]:
    """The stage for a model of this kind; in safetensors it stays a model of this kind."""
    output = kind if config.format == "safetensors" else ArtifactKind.ONNX
    return StageSpec("export", 1, ExportConfig, {"model": kind}, output, run)


def _write_safetensors(config: ExportConfig, root: Path, kind: ArtifactKind, context: RunContext) -> dict[str, object]:
    dtype = getattr(torch, config.dtype)
    first_stage = _cast(load_latent_space(root), dtype) if kind in _WITH_FIRST_STAGE else None
    denoiser = _cast(load_denoiser(root), dtype) if kind in _WITH_DENOISER else None
    talker = _cast(load_talker(root), dtype) if kind is ArtifactKind.TALKER else None
    reader = _cast(load_lip_reader(root), dtype) if kind is ArtifactKind.LIP_READER else None
    classifier = load_emotion_classifier(root)
    if first_stage is not None:
        save_latent_space(first_stage, context.out)
    if denoiser is not None:
        save_denoiser(denoiser, load_schedule_config(root), load_model_info(root), context.out)
    if talker is not None:
        save_talker(talker, load_schedule_config(root), load_talker_info(root), context.out)
    if reader is not None:
        save_lip_reader(reader, context.out)
    if classifier is not None:
        save_emotion_classifier(_cast(classifier, dtype), context.out)
    _copy_expression_parts(root, context.out, dtype)
    return {"dtype": config.dtype}


def _copy_expression_parts(root: Path, out: Path, dtype: torch.dtype) -> None:
    """What a model that edits by coefficients has besides."""
    basis, student, upscaler = load_basis(root), load_expression_network(root), load_upscaler(root)
    if basis is not None:
        save_basis(basis, out)
    if student is not None:
        save_expression_network(_cast(student, dtype), out)
    if upscaler is not None:
        save_upscaler(_cast(upscaler, dtype), out)


def _write_onnx(config: ExportConfig, root: Path, kind: ArtifactKind, context: RunContext) -> dict[str, object]:
    if kind not in _WITH_FIRST_STAGE:
        raise BadInputError(f"{root} has no denoiser and no decoder", "Only these are exported to ONNX")
    require_onnx()
    paths = {name: context.out / f"{name}.onnx" for name in ("decoder", "denoiser")}
    first_stage = load_latent_space(root)
    if not isinstance(first_stage, FirstStage):
        raise BadInputError(
            f"{root} has no VQGAN decoder", "ONNX is written of models with one; `--format safetensors` writes any"
        )
    write_decoder(first_stage, paths["decoder"])
    differences = {"decoder": check_decoder(first_stage, paths["decoder"])}
    if kind in _WITH_DENOISER:
        denoiser = load_denoiser(root)
        write_denoiser(denoiser, paths["denoiser"])
        differences["denoiser"] = check_denoiser(denoiser, paths["denoiser"])
    for name, difference in differences.items():
        if not difference <= config.tolerance:  # nor is NaN let out
            for path in paths.values():
                path.unlink(missing_ok=True)
            raise BadInputError(
                f"the {name} in ONNX differs from torch by {difference:.3g}, more than {config.tolerance:g}",
                "Allow it with --tolerance, if that is no harm",
            )
    if kind in _WITH_DENOISER:
        save_schedule(load_schedule_config(root), context.out)
        save_model_info(load_model_info(root), context.out)
    return {"max_abs_difference": differences}


def _cast(network: NetworkT, dtype: torch.dtype) -> NetworkT:
    """Raises ``BadInputError`` where a weight is beyond what ``dtype`` can hold."""
    network.to(dtype)
    for name, value in network.state_dict().items():
        if value.is_floating_point() and not value.isfinite().all():
            raise BadInputError(f"{name} does not fit in {dtype}", "Export as float32")
    return network
