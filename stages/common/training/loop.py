"""The training loop that all models share, and where its randomness comes from.

Everything random in step k is a function of (seed, k), so a run that was stopped anywhere and resumed takes the same
steps as one that was not, whatever the number of processes and of threads that read data: on one CPU with the same
number of arithmetic threads the weights are bit-identical.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from stages.common.errors import Interrupted
from stages.common.manifest import write_atomically
from stages.common.stage import RunContext
from stages.common.training.checkpoints import Checkpoints, require_finite, undamaged
from stages.common.training.config import LoopConfig, learning_rate_at
from stages.common.training.log import TrainingLog
from stages.common.training.stepper import Stepper

Row = dict[str, float]


class Trainee(Protocol):
    """A model's side of the loop. Its state is all that the next step depends on, as tensors and plain values."""

    def train_step(self, step: int, learning_rate: float, random: torch.Generator) -> Row:
        """Take one optimiser step and return the losses to show."""

    def validate(self) -> Row:
        """Losses on held-out data."""

    def score(self, validation: Row) -> float:
        """One number for a row of ``validate``: the lower, the better the weights."""

    def pictures(self) -> Mapping[str, NDArray[np.uint8]]:
        """What the model makes at present, as RGB grids (H, W, 3) by name; equal weights give equal pictures."""

    def samples(self, step: int) -> str:
        """The names of the samples of a step, for messages."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def fit(trainee: Trainee, config: LoopConfig, stepper: Stepper, context: RunContext, description: str) -> Row:
    """Train to ``config.steps``, continuing from the newest whole checkpoint in ``context.work`` if there is one.

    Leaves the weights that ``config.select`` names in the trainee, returns their row of ``validate``, and writes all
    rows to ``history.json``. Raises ``Interrupted`` after saving when ``context.should_stop()`` in any process,
    ``ConfigError`` when a loss or a weight is not finite, and ``ResumeConflictError`` when no checkpoint can be read.
    """
    checkpoints = Checkpoints(context.work / "checkpoints", config.keep)
    step, history = _restore(checkpoints, trainee, stepper, context)
    random = torch.Generator()
    with context.progress.task(description, config.steps, step) as task, TrainingLog(stepper, context) as log:
        started, first = time.monotonic(), step
        while step < config.steps:
            random.manual_seed(_step_seed(context.seed, step))
            shown = trainee.train_step(step, learning_rate_at(step, config), random)
            require_finite(shown, step + 1, partial(trainee.samples, step))
            step += 1
            shown["images_per_s"] = (step - first) * config.batch_size / (time.monotonic() - started)
            task.advance(memory_gb=round(_memory_gb(context.device), 2), **{k: round(v, 4) for k, v in shown.items()})
            log.steps(shown, step)
            if step % config.validate_every == 0 or step == config.steps:
                history.append({"step": step, **trainee.validate()})
                context.progress.note(", ".join(f"{k} {v:.5g}" for k, v in history[-1].items()))
                if context.tracker is not None:
                    log.validation(history[-1], trainee.pictures())
                if config.select == "best":
                    _save_best(checkpoints, trainee, stepper, history[-1])
            stopping = stepper.any_process(context.should_stop())
            if stopping or step % config.checkpoint_every == 0 or step == config.steps:
                _save(checkpoints, trainee, stepper, step, history)
            if stopping and step < config.steps:
                raise Interrupted(f"stopped after step {step} of {config.steps}", "Add --resume to continue")
    write_atomically(context.out / "history.json", json.dumps(history, indent=1).encode() + b"\n")
    if config.select == "last":
        return history[-1]
    best = checkpoints.load_best()
    trainee.load_state_dict(best["trainee"])
    return next(row for row in history if row["step"] == best["step"])


def _step_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)


def _memory_gb(device: str) -> float:
    """The most memory that this process has held: on the GPU where it has one."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _save(checkpoints: Checkpoints, trainee: Trainee, stepper: Stepper, step: int, history: list[Row]) -> None:
    state = {"step": step, "history": history, "trainee": trainee.state_dict(), "stepper": stepper.state_dict()}
    if stepper.leads:
        checkpoints.save(step, state)


def _save_best(checkpoints: Checkpoints, trainee: Trainee, stepper: Stepper, row: Row) -> None:
    state = {"step": row["step"], "trainee": trainee.state_dict()}
    if stepper.leads:
        checkpoints.save_best(int(row["step"]), trainee.score(row), state)


def _restore(
    checkpoints: Checkpoints, trainee: Trainee, stepper: Stepper, context: RunContext
) -> tuple[int, list[Row]]:
    state, damaged = checkpoints.load()
    if damaged:
        context.progress.note(f"passing over damaged checkpoints: {', '.join(damaged)}")
    if state is None:
        return 0, []
    with undamaged(checkpoints.folder):
        trainee.load_state_dict(state["trainee"])
        stepper.load_state_dict(state["stepper"])
        return int(state["step"]), list(state["history"])
