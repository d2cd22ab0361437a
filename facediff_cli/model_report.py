"""What a model consists of: read from its files, or for a preset from networks that are built without memory."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facediff_cli.sections import config_types

if TYPE_CHECKING:
    from torch.nn import Module

    from stages.common.manifest import Artifact

_SCHEDULE_FIELDS = ("beta_schedule", "beta_start", "beta_end", "num_train_timesteps", "prediction_type")


def describe_folder(artifact: Artifact) -> dict[str, Any]:
    """Networks (parameters, bytes on disk), schedule, licence and emotions of a model, from its files' headers."""
    manifest = artifact.manifest
    networks: dict[str, dict[str, Any]] = {}
    for output in manifest.outputs:
        if output.path.endswith(".safetensors"):
            network = networks.setdefault(_network_name(output.path), {"parameters": 0, "bytes": 0})
            network["parameters"] += count_parameters(artifact.path(output.path))
            network["bytes"] += output.bytes
    return {
        "name": artifact.root.name,
        "kind": manifest.kind.value,
        "artifact_id": manifest.artifact_id,
        "networks": networks,
        "parameters": sum(n["parameters"] for n in networks.values()),
        "bytes": sum(o.bytes for o in manifest.outputs),
        "schedule": _read_schedule(artifact),
        "licence": _read_licence(artifact.root / "README.md"),
        "emotions": _read_json(artifact.path("model.json")).get("supported", []),
    }


def describe_preset(name: str) -> dict[str, Any]:
    """Networks and schedule that the training commands would build from a preset."""
    import torch

    from stages.common.config import load_config_file, make_config

    sections = load_config_file(name)
    types = config_types()
    configs = {s: make_config(types[s], sections[s]) for s in _NETWORKS if s in sections}
    settings = {section: config.model_dump(mode="json") for section, config in configs.items()}
    networks: dict[str, dict[str, Any]] = {}
    for section, config in configs.items():
        with torch.device("meta"):
            modules = _NETWORKS[section](config)
        networks |= {
            key: {"parameters": sum(p.numel() for p in module.parameters())} for key, module in modules.items()
        }
    return {
        "name": name,
        "kind": "preset",
        "networks": networks,
        "parameters": sum(n["parameters"] for n in networks.values()),
        "schedule": next((fields["schedule"] for fields in settings.values() if "schedule" in fields), None),
        "config": settings,
    }


def _first_stage(config: Any) -> dict[str, Module]:
    from stages.models.first_stage import build_first_stage

    return {"vqvae": build_first_stage(config.network)}


def _denoiser(config: Any) -> dict[str, Module]:
    from stages.models.denoiser import build_denoiser

    denoiser = build_denoiser(config.network)
    return {"unet": denoiser.unet, "emotion_embedding": denoiser.emotion_embedding}


def _talker(config: Any) -> dict[str, Module]:
    from stages.models.talker import build_talker

    talker = build_talker(config.network)
    return {"talker unet": talker.unet, "talker conditioning": talker.conditioning}


def _expression_network(config: Any) -> dict[str, Module]:
    from stages.models.expression_network import ExpressionNetwork

    return {"expression_network": ExpressionNetwork(config.network)}


_NETWORKS: dict[str, Callable[[Any], dict[str, Module]]] = {
    "vqgan": _first_stage,
    "ldm": _denoiser,
    "talk_training": _talker,
    "expression": _expression_network,
}
"""Sections of a preset to what `train` builds from them; the schedule shown is the first one's."""


def count_parameters(path: Path) -> int:
    """Elements of all tensors in a safetensors file, from its header. Raises ``MissingModelError`` if there is none."""
    from stages.common.errors import MissingModelError

    try:
        with path.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    except (OSError, ValueError, OverflowError) as error:
        raise MissingModelError(f"{path} is not a safetensors file") from error
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def _network_name(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return folder or name.removesuffix(".safetensors")


def _read_schedule(artifact: Artifact) -> dict[str, Any]:
    stored = _read_json(artifact.path("scheduler/scheduler_config.json"))
    return {field: stored[field] for field in _SCHEDULE_FIELDS if field in stored}


def _read_json(path: Path) -> Mapping[str, Any]:
    return json.loads(path.read_bytes()) if path.is_file() else {}


def _read_licence(card: Path) -> str | None:
    import yaml

    if not card.is_file():
        return None
    parts = card.read_text("utf-8").split("---", 2)
    if len(parts) < 3 or parts[0].strip():
        return None
    front_matter = yaml.safe_load(parts[1])
    return front_matter.get("license") if isinstance(front_matter, dict) else None
