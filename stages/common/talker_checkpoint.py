"""Talking-face models on disk: ``vqvae/``, ``unet/``, ``scheduler/``, and beside them what diffusers lacks."""

from __future__ import annotations

from pathlib import Path

from diffusers import UNet2DConditionModel
from pydantic import BaseModel, ConfigDict

from stages.common.checkpoint import save_schedule
from stages.common.model_files import load_network, load_weights, read_config, save_network, save_weights, write_config
from stages.models.schedule import ScheduleConfig
from stages.models.talker import Talker, TalkerConfig

_TALKER_JSON = "talker.json"
_INFO_JSON = "talking.json"
_CONDITIONING_FILE = "conditioning.safetensors"


class TalkerInfo(BaseModel):
    """What a model was trained on: the frames a second of its clips, which a window of sound is counted in.

    ``pause`` is the mean (C,) of what it heard in their pauses.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fps: float
    pause: tuple[float, ...] | None = None


def save_talker(model: Talker, schedule: ScheduleConfig, info: TalkerInfo, root: Path) -> None:
    """Write ``unet/``, ``scheduler/``, the conditioning's weights, ``talker.json`` and ``talking.json``.

    The first stage is saved beside it by ``save_first_stage``.
    """
    save_network(model.unet, root / "unet")
    save_schedule(schedule, root)
    save_weights(model.conditioning, root / _CONDITIONING_FILE)
    write_config(root / _TALKER_JSON, model.config)
    write_config(root / _INFO_JSON, info)


def load_talker(root: Path, device: str = "cpu") -> Talker:
    """Read what ``save_talker`` wrote, in float32 and eval mode. Raises ``MissingModelError``."""
    config = load_talker_config(root)
    model = Talker(config, load_network(UNet2DConditionModel, root / "unet"))
    load_weights(model.conditioning, root / _CONDITIONING_FILE)
    return model.to(device).eval().requires_grad_(False)


def load_talker_config(root: Path) -> TalkerConfig:
    return read_config(root / _TALKER_JSON, TalkerConfig)


def load_talker_info(root: Path) -> TalkerInfo:
    return read_config(root / _INFO_JSON, TalkerInfo)
