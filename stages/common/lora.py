"""Low-rank updates of a model's U-Net on disk: what they change, and a model with them merged in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusers import UNet2DConditionModel
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from stages.common.config import StageConfig
from stages.common.errors import BadInputError, MissingModelError
from stages.common.manifest import Artifact, write_atomically
from stages.common.weights import model_with_id, resolve_model

_INFO_JSON = "lora.json"
_WEIGHTS_FILE = "pytorch_lora_weights.safetensors"
"""diffusers' name: ``unet.load_lora_adapter(folder, prefix=None)`` reads it too."""
_ADAPTER = "default"


class LoraSettings(StageConfig):
    """Low-rank updates (Hu et al. 2022) of the U-Net's modules whose names end in one of ``modules``."""

    rank: int = Field(default=8, ge=1)
    modules: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2")


class LoraInfo(BaseModel):
    """``base`` is the artifact id of the model that is changed, ``base_name`` what its folder was called.

    It was tuned to give ``emotion`` at the scale ``guidance``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str
    base_name: str
    emotion: str
    guidance: float
    rank: int
    modules: tuple[str, ...]


def add_lora(unet: UNet2DConditionModel, rank: int, modules: tuple[str, ...]) -> None:
    """Freeze the network and add updates B A, of scale one, that change nothing yet and alone can be trained.

    Raises ``MissingModelError`` without the package peft, ``BadInputError`` when no module has such a name.
    """
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise MissingModelError("a low-rank update needs the package peft", "Install facediff[finetune]") from error
    unet.requires_grad_(False)
    try:
        unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(modules)), adapter_name=_ADAPTER)
    except ValueError as error:
        raise BadInputError(f"the U-Net has none of the modules {', '.join(modules)}", "Set lora.modules") from error


def save_lora(unet: UNet2DConditionModel, info: LoraInfo, root: Path) -> None:
    """Write ``lora.json`` and the updates of a network that has them."""
    from peft import get_peft_model_state_dict

    state: dict[str, Any] = get_peft_model_state_dict(unet, adapter_name=_ADAPTER)
    weights = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    save_file(weights, root / _WEIGHTS_FILE, {"format": "pt"})
    write_atomically(root / _INFO_JSON, info.model_dump_json(indent=2).encode() + b"\n")


def load_lora_info(root: Path) -> LoraInfo:
    """Raises ``MissingModelError``."""
    try:
        return LoraInfo.model_validate_json((root / _INFO_JSON).read_bytes())
    except (OSError, ValidationError) as error:
        raise MissingModelError(f"{root} holds no low-rank update: {_INFO_JSON} is missing or wrong") from error


def merge_lora(unet: UNet2DConditionModel, root: Path) -> None:
    """W + B A in place of W, for every update in ``root``. Raises ``MissingModelError``."""
    info = load_lora_info(root)
    add_lora(unet, info.rank, info.modules)
    from peft import set_peft_model_state_dict

    try:
        found = set_peft_model_state_dict(unet, load_file(root / _WEIGHTS_FILE), adapter_name=_ADAPTER)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise MissingModelError(f"{root / _WEIGHTS_FILE} is missing or damaged") from error
    if found.unexpected_keys or any("lora_" in name for name in found.missing_keys):
        raise MissingModelError(f"{root / _WEIGHTS_FILE} is of another network")
    fold_lora(unet)


def fold_lora(unet: UNet2DConditionModel) -> None:
    """Turn the updates of a network that has them into its weights."""
    unet.fuse_lora()
    unet.unload_lora()


def find_base(root: Path, given: Path | None = None) -> Artifact:
    """The checked model that the update in ``root`` changes: the ``given`` folder, or the one of this id in the store.

    Raises ``MissingModelError`` when it is not there, or the given one is another model.
    """
    info = load_lora_info(root)
    name = f"{info.base_name} ({info.base[:16]})"
    if given is not None:
        base = resolve_model(str(given))
        if base.manifest.artifact_id != info.base:
            raise MissingModelError(
                f"{root} changes the model {name}, but {given} is {base.manifest.artifact_id[:16]}",
                "Give the one that it was tuned from",
            )
        return base
    entry = model_with_id(info.base)
    if entry is None:
        raise MissingModelError(
            f"{root} changes the model {name}, which is not in the model store",
            "Give its folder with --base, or fetch it with `facediff models pull`",
        )
    return resolve_model(str(entry.root))
