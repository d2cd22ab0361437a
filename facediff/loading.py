"""What all pipelines begin with: a checked model by its name, and a seed."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from stages.common.editor import Editor, load_editor
from stages.common.weights import resolve_model

StrPath = str | os.PathLike[str]


def load_pretrained(name_or_dir: StrPath, *, device: str, base: StrPath | None) -> Editor:
    """The model with this name or in this folder, every file checked. Raises ``MissingModelError``."""
    return load_editor(resolve_model(os.fspath(name_or_dir)).root, device, None if base is None else Path(base))


def seed_of(seed: int, generator: torch.Generator | None) -> int:
    """The seed of the generator, where there is one; its state is neither read nor changed."""
    return seed if generator is None else generator.initial_seed()
