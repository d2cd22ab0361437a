"""The parts that every model on disk is made of: diffusers networks, other modules' weights, and configurations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from stages.common.errors import MissingModelError
from stages.common.manifest import write_atomically

ConfigT = TypeVar("ConfigT", bound=BaseModel)


def save_network(network: Any, folder: Path) -> None:
    network.save_pretrained(folder, safe_serialization=True)
    path = folder / "config.json"
    settings = json.loads(path.read_bytes())
    # diffusers writes down where a network was loaded from, which says nothing of what it is.
    if settings.pop("_name_or_path", None) is not None:
        write_atomically(path, json.dumps(settings, indent=2, sort_keys=True).encode() + b"\n")


def load_network(network_type: Any, folder: Path) -> Any:
    with readable(folder):
        network, found = network_type.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, torch_dtype=torch.float32, output_loading_info=True
        )
        if found["missing_keys"] or found["unexpected_keys"]:
            raise ValueError("weights are missing or too many")
    return network


def save_weights(module: nn.Module, path: Path) -> None:
    save_file({name: value.contiguous() for name, value in module.state_dict().items()}, path)


def load_weights(module: nn.Module, path: Path) -> None:
    with readable(path):
        module.load_state_dict(load_file(path))


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say in one line that a part of a model is missing or damaged, whatever the libraries call it."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise MissingModelError(
            f"{path} is missing or damaged", "`facediff models verify` or `facediff manifest verify` names the file"
        ) from error


def write_config(path: Path, config: BaseModel) -> None:
    write_atomically(path, config.model_dump_json(indent=2).encode() + b"\n")


def read_config(path: Path, config_type: type[ConfigT]) -> ConfigT:
    try:
        return config_type.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise MissingModelError(f"{path.parent} is not a facediff model: {path.name} is missing or wrong") from error
