"""Networks as ONNX files (only the batch size is free), and how far onnxruntime's results are from torch's."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.common.errors import ConfigError
from stages.models.denoiser import Denoiser
from stages.models.first_stage import FirstStage

_OPSET = 17
_TRACED_BATCH, _CHECKED_BATCH = 2, 3  # unequal, so that a batch size baked into the graph is found


def require_onnx() -> None:
    """Raises ``ConfigError`` where the packages of the extra ``export`` are not installed."""
    missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"writing ONNX needs {' and '.join(missing)}", "Install facediff[export]")


def write_denoiser(model: Denoiser, path: Path) -> None:
    """Inputs ``latents`` (B, C, H, W), int64 ``timesteps`` (B,) and ``labels`` (B,); output ``eps``, as ``latents``."""
    _write(model, denoiser_inputs(model, _TRACED_BATCH), "eps", path)


def write_decoder(model: FirstStage, path: Path) -> None:
    """Input ``latents`` (B, C, H, W); output ``pictures`` (B, 3, 4H, 4W or as it folds) in -1..1."""
    _write(_Decoder(model), decoder_inputs(model, _TRACED_BATCH), "pictures", path)


def check_denoiser(model: Denoiser, path: Path) -> float:
    """The largest difference between what the file and the network compute, over early and late steps and labels."""
    inputs = denoiser_inputs(model, _CHECKED_BATCH)
    return _difference(path, inputs, model(*inputs.values()))


def check_decoder(model: FirstStage, path: Path) -> float:
    inputs = decoder_inputs(model, _CHECKED_BATCH)
    return _difference(path, inputs, model.decode(inputs["latents"]))


def denoiser_inputs(model: Denoiser, batch: int) -> dict[str, Tensor]:
    """Noise, at steps from the first to the last, under labels from the first to "no class"."""
    config = model.config
    shape = (batch, config.latent_channels, config.latent_size, config.latent_size)
    return {
        "latents": torch.randn(shape, generator=torch.Generator().manual_seed(0)),
        "timesteps": torch.linspace(1, 999, batch).long(),
        "labels": torch.linspace(0, model.null_class, batch).long(),
    }


def decoder_inputs(model: FirstStage, batch: int) -> dict[str, Tensor]:
    """Latents near codes: between two codes rounding alone would decide, and tell nothing of the file."""
    generator = torch.Generator().manual_seed(0)
    codes_NC = model.vq.quantize.embedding.weight
    side = model.config.latent_size * model.config.latent_fold
    chosen_BHWC = codes_NC[torch.randint(len(codes_NC), (batch, side, side), generator=generator)]
    apart_BHW = torch.cdist(chosen_BHWC.flatten(0, 2), codes_NC).topk(2, largest=False).values[:, 1]
    noise = F.normalize(torch.randn(chosen_BHWC.shape, generator=generator), dim=-1)
    features = (chosen_BHWC + 0.1 * apart_BHW.view(batch, side, side, 1) * noise).permute(0, 3, 1, 2)
    return {"latents": F.pixel_unshuffle(features * model.scaling_factor, model.config.latent_fold)}


class _Decoder(nn.Module):
    """``FirstStage.decode`` with the nearest code found by a matrix product, which ONNX has (it lacks ``cdist``)."""

    def __init__(self, model: FirstStage) -> None:
        super().__init__()
        self.model = model

    def forward(self, z_BCHW: Tensor) -> Tensor:
        features = F.pixel_shuffle(z_BCHW, self.model.config.latent_fold) / self.model.scaling_factor
        codes_NC = self.model.vq.quantize.embedding.weight
        # |z - e|^2 without |z|^2, which is the same for all codes
        distances = codes_NC.square().sum(1) - 2 * features.permute(0, 2, 3, 1) @ codes_NC.T
        return self.model.decode_features(codes_NC[distances.argmin(-1)].permute(0, 3, 1, 2))


def _write(network: nn.Module, inputs: Mapping[str, Tensor], output: str, path: Path) -> None:
    with warnings.catch_warnings():
        # The tracer is deprecated, but the exporter after it takes a minute for what this does in a second; it also
        # warns of each shape that it takes to be constant, and all but the batch size are.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            tuple(inputs.values()),
            path,
            input_names=list(inputs),
            output_names=[output],
            dynamic_axes={name: {0: "batch"} for name in (*inputs, output)},
            opset_version=_OPSET,
            dynamo=False,
        )


def _difference(path: Path, inputs: Mapping[str, Tensor], expected: Tensor) -> float:
    import onnxruntime

    session: Any = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    return float((torch.from_numpy(found) - expected).abs().max())
