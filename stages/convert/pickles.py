"""Read the pickles in which checkpoints were published, without running anything that they ask for."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.serialization import safe_globals

from stages.common.errors import BadInputError


class _Inert:
    """Stands where a checkpoint names a class of the trainer that wrote it; takes anything and does nothing."""

    def __init__(self, *_arguments: object) -> None:
        pass

    def __setstate__(self, _state: object) -> None:
        pass


_STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    # pytorch-lightning before 1.5 keyed the state of its callbacks by their classes.
    (_Inert, "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"),
    (_Inert, "pytorch_lightning.callbacks.early_stopping.EarlyStopping"),
    (_Inert, "pytorch_lightning.callbacks.lr_monitor.LearningRateMonitor"),
    (dict, "pytorch_lightning.utilities.parsing.AttributeDict"),
]


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors by name in a ``torch.save`` file, old or new, bare or below ``state_dict``.

    Raises ``BadInputError``: it is absent, cut off, something else, or asks for code to be run.
    """
    try:
        path.open("rb").close()
    except OSError as error:
        raise BadInputError(f"cannot read {path}: {error.strerror}") from error
    try:
        with safe_globals(_STAND_INS):
            content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise BadInputError(
            f"{path} is refused: {_forbidden_name(error)}", "Nothing in it was run; get the checkpoint from its authors"
        ) from error
    except Exception as error:  # whatever a damaged file makes torch raise
        raise BadInputError(f"{path} is damaged or no PyTorch checkpoint", "Download it again") from error
    tensors = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(tensors, Mapping) or not any(isinstance(value, Tensor) for value in tensors.values()):
        raise BadInputError(f"{path} holds no weights by name")
    return {str(name): value for name, value in tensors.items() if isinstance(value, Tensor)}


def _forbidden_name(error: pickle.UnpicklingError) -> str:
    """Which function or class the pickle asked for, out of torch's many lines."""
    words = str(error).split()
    if "GLOBAL" in words:
        return f"it asks for {words[words.index('GLOBAL') + 1]}, which is no part of a set of weights"
    return "it holds more than weights, or is damaged"
