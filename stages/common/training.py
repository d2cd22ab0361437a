"""The training loop that all models share, and where its randomness comes from.

Everything random in step k is a function of (seed, k), so a run that was stopped anywhere and resumed takes the same
steps as one that was not: on one CPU with the same number of threads the weights are bit-identical.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from stages.common.config import StageConfig
from stages.common.errors import ConfigError, Interrupted, ResumeConflictError
from stages.common.manifest import write_atomically
from stages.common.stage import RunContext

_CHECKPOINT = "checkpoint.pt"
_DIVERGED_HINT = (
    "The last good checkpoint stays. Lower loop.learning_rate, or change loop.gradient_clip or loop.precision"
)


class LoopConfig(StageConfig):
    """How long and how fast to train. The rate rises over ``warmup_steps`` and, with ``decay``, falls as a cosine."""

    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(default=0, ge=0)
    decay: bool = False
    precision: Literal["fp32", "bf16"] = "fp32"
    gradient_clip: float | None = Field(default=None, gt=0)
    validate_every: int = Field(default=500, ge=1)
    checkpoint_every: int = Field(default=100, ge=1)


class Trainee(Protocol):
    """A model's side of the loop. Its state is all that the next step depends on, as tensors and plain values."""

    def train_step(self, step: int, learning_rate: float, random: torch.Generator) -> dict[str, float]:
        """Take one optimiser step and return the losses to show."""

    def validate(self) -> dict[str, float]:
        """Losses on held-out data."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class SampleOrder:
    """Which samples step k trains on.

    With ``balance`` 0 every epoch is a permutation. Otherwise samples are drawn with replacement, a class of n samples
    having a share proportional to n^(1 - balance): 0.5 is square-root balancing, 1 gives all classes the same share.
    """

    def __init__(self, labels: NDArray[np.int64], batch_size: int, seed: int, balance: float = 0.0) -> None:
        self._count = len(labels)
        self._batch_size = batch_size
        self._seed = seed
        self._probabilities: NDArray[np.float64] | None = None
        if balance > 0:
            _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
            weights = counts.astype(np.float64)[inverse] ** -balance
            self._probabilities = weights / weights.sum()

    def indices(self, step: int) -> NDArray[np.int64]:
        if self._probabilities is not None:
            random = np.random.default_rng([self._seed, step])
            return random.choice(self._count, size=self._batch_size, p=self._probabilities)
        seen = np.arange(step * self._batch_size, (step + 1) * self._batch_size)
        epochs = {int(e): self._permutation(int(e)) for e in set(seen // self._count)}
        return np.array([epochs[int(s // self._count)][s % self._count] for s in seen])

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self._seed, epoch]).permutation(self._count)


def fit(trainee: Trainee, config: LoopConfig, context: RunContext, description: str) -> list[dict[str, float]]:
    """Train to ``config.steps``, continuing from the checkpoint in ``context.work`` if there is one.

    Returns one row for each validation, and writes them to ``history.json``. Raises ``Interrupted`` after saving when
    ``context.should_stop()``, and ``ResumeConflictError`` when the checkpoint cannot be read.
    """
    checkpoint = context.work / _CHECKPOINT
    step, history = _restore(checkpoint, trainee)
    random = torch.Generator()
    with context.progress.task(description, config.steps, step) as task:
        started, first = time.monotonic(), step
        while step < config.steps:
            random.manual_seed(_step_seed(context.seed, step))
            losses = trainee.train_step(step, learning_rate_at(step, config), random)
            step += 1
            _require_finite(losses, step)
            rate = (step - first) * config.batch_size / (time.monotonic() - started)
            task.advance(images_per_s=round(rate, 1), **{k: round(v, 4) for k, v in losses.items()})
            if step % config.validate_every == 0 or step == config.steps:
                history.append({"step": step, **trainee.validate()})
                context.progress.note(", ".join(f"{k} {v:.5g}" for k, v in history[-1].items()))
            stopping = context.should_stop()
            if stopping or step % config.checkpoint_every == 0 or step == config.steps:
                _save(checkpoint, trainee, step, history)
            if stopping and step < config.steps:
                raise Interrupted(f"stopped after step {step} of {config.steps}", "Add --resume to continue")
    write_atomically(context.out / "history.json", json.dumps(history, indent=1).encode() + b"\n")
    return history


def learning_rate_at(step: int, config: LoopConfig) -> float:
    warm = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    cosine = 0.5 * (1 + math.cos(math.pi * step / config.steps)) if config.decay else 1.0
    return config.learning_rate * warm * cosine


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def memory_format(device: str) -> torch.memory_format:
    """The layout in which convolutional networks train fastest: on CPUs, group norm is slow in channels-last."""
    return torch.contiguous_format if torch.device(device).type == "cpu" else torch.channels_last


def autocast(config: LoopConfig, device: str) -> AbstractContextManager[None]:
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=config.precision == "bf16")


@contextmanager
def undamaged(path: Path) -> Iterator[None]:
    """Raise ``ResumeConflictError`` when what an earlier run saved at ``path`` cannot be read inside the block."""
    try:
        yield
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ResumeConflictError(
            f"{path} is damaged", "Delete this file and add --resume: what it held is computed again"
        ) from error


def _step_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)


def _require_finite(losses: dict[str, float], step: int) -> None:
    bad = [name for name, value in losses.items() if not math.isfinite(value)]
    if bad:
        raise ConfigError(f"{', '.join(bad)} is not finite at step {step}", _DIVERGED_HINT)


def _all_finite(state: Any) -> bool:
    if isinstance(state, torch.Tensor):
        return not state.is_floating_point() or bool(state.isfinite().all())
    if isinstance(state, Mapping):
        state = list(state.values())
    return not isinstance(state, list | tuple) or all(_all_finite(part) for part in state)


def _save(path: Path, trainee: Trainee, step: int, history: list[dict[str, float]]) -> None:
    """Replace the checkpoint, unless the weights are no longer finite: then the last good one stays."""
    state = trainee.state_dict()
    if not _all_finite(state):
        raise ConfigError(f"the weights are not finite after step {step}", _DIVERGED_HINT)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as stream:
        torch.save({"step": step, "history": history, "trainee": state}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def _restore(path: Path, trainee: Trainee) -> tuple[int, list[dict[str, float]]]:
    if not path.is_file():
        return 0, []
    with undamaged(path):
        state = torch.load(path, map_location="cpu", weights_only=True)
        trainee.load_state_dict(state["trainee"])
        return int(state["step"]), list(state["history"])
