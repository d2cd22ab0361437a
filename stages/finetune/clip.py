"""CLIP by transformers: a folder, or a name in the Hugging Face cache, to the guide of one target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stages.common.engine import describe_source
from stages.common.errors import MissingModelError
from stages.common.hashing import hash_file, hash_json
from stages.common.manifest import Artifact
from stages.finetune.prompts import all_phrasings
from stages.models.finetuning_guides import DirectionalGuide, text_directions

DEFAULT_CLIP = "openai/clip-vit-base-patch16"
_FILES = ["*.json", "*.txt", "*.safetensors"]
_HINT = "Fetch it (`hf download {name}`), give a folder with --clip, or tune by --guide classifier"


def find_clip(name_or_dir: str) -> Artifact:
    """A CLIP checkpoint as the input of a run, by the content of its files; nothing is downloaded.

    Raises ``MissingModelError`` when it is not on this machine, or is no CLIP in safetensors.
    """
    root = Path(name_or_dir) if Path(name_or_dir).is_dir() else _in_cache(name_or_dir)
    files = sorted(path for pattern in _FILES for path in root.glob(pattern))
    config = root / "config.json"
    kind = json.loads(config.read_bytes()).get("model_type") if config.is_file() else None
    if kind != "clip" or not any(path.suffix == ".safetensors" for path in files):
        raise MissingModelError(f"{root} holds no CLIP in safetensors", _HINT.format(name=DEFAULT_CLIP))
    return describe_source(root, hash_json([[path.name, hash_file(path)] for path in files]))


def load_clip_guide(root: Path, target: int, device: str) -> DirectionalGuide:
    """The directional loss towards class ``target``. Raises ``MissingModelError`` when a file is damaged."""
    try:
        from transformers import CLIPModel, CLIPTokenizerFast
        from transformers.utils import logging

        logging.disable_progress_bar()
        model: Any = CLIPModel.from_pretrained(root, local_files_only=True, use_safetensors=True)
        tokenizer: Any = CLIPTokenizerFast.from_pretrained(root, local_files_only=True)
    except ImportError as error:
        raise MissingModelError("CLIP needs the package transformers", "Install facediff[finetune]") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise MissingModelError(f"{root} is not a whole CLIP checkpoint", "Fetch it again") from error
    model = model.to(device).eval().requires_grad_(False)
    directions_KD = text_directions(torch.stack([_embed_texts(model, tokenizer, t) for t in all_phrasings()]), target)
    tower = _VisionTower(model.vision_model, model.visual_projection)
    return DirectionalGuide(tower, directions_KD, model.config.vision_config.image_size).to(device)


class _VisionTower(nn.Module):
    """CLIP without its text half, which is not needed any more."""

    def __init__(self, vision: nn.Module, projection: nn.Module) -> None:
        super().__init__()
        self.vision = vision
        self.projection = projection

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        embedding_BD: Tensor = self.projection(self.vision(pixels_BCHW).pooler_output)
        return embedding_BD


@torch.no_grad()
def _embed_texts(model: Any, tokenizer: Any, texts: list[str]) -> Tensor:
    tokens = tokenizer(texts, padding=True, return_tensors="pt").to(model.device)
    embedding_ND: Tensor = model.text_projection(model.text_model(**tokens).pooler_output)
    return embedding_ND


def _in_cache(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=_FILES, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise MissingModelError(f"no CLIP {name!r} on this machine", _HINT.format(name=DEFAULT_CLIP)) from error
