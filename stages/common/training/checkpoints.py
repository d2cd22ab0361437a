"""Checkpoints of a run that is not finished: the last few and the best, each whole or not there at all.

A checkpoint is two files: the state, and a description with its SHA-256 that is written last and deleted first. So a
process may die at any moment, and a state that was damaged since is passed over for the one before it.
"""

from __future__ import annotations

import json
import math
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from stages.common.errors import ConfigError, ResumeConflictError
from stages.common.hashing import hash_file
from stages.common.manifest import write_atomically

_BEST = "best"
_DIVERGED_HINT = (
    "The last good checkpoint stays. Lower loop.learning_rate, or change loop.gradient_clip or loop.precision"
)


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Those in ``folder``, of which the ``keep`` newest stay and the best."""

    folder: Path
    keep: int

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Write the state after ``step`` steps and delete the oldest. Raises ``ConfigError`` if it is not finite."""
        self._write(f"step-{step:09d}", {"step": step}, state)
        for name in self._names()[self.keep :]:
            self._delete(name)

    def save_best(self, step: int, score: float, state: Mapping[str, Any]) -> None:
        """Replace the best by this one if its ``score`` is lower."""
        described = self._describe(_BEST)
        if described is None or score < described["score"]:
            self._write(_BEST, {"step": step, "score": score}, state)

    def load(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The newest state that is whole (None if there never was one), and the names of newer ones that are not.

        Raises ``ResumeConflictError`` when there are checkpoints, but all are damaged.
        """
        damaged: list[str] = []
        for name in self._names():
            state = self._read(name)
            if state is not None:
                return state, damaged
            damaged.append(name)
        if damaged:
            raise ResumeConflictError(
                f"{self._state_file(damaged[0])} is damaged",
                "Delete this file and add --resume to train from the start",
            )
        return None, []

    def load_best(self) -> dict[str, Any]:
        """The best state. Raises ``ResumeConflictError`` when it is damaged."""
        state = self._read(_BEST)
        if state is None:
            raise ResumeConflictError(f"{self._state_file(_BEST)} is damaged", "Train again with loop.select=last")
        return state

    def _names(self) -> list[str]:
        """The newest first, of those whose state is still there."""
        described = (path.stem for path in self.folder.glob("step-*.json"))
        return sorted((name for name in described if self._state_file(name).is_file()), reverse=True)

    def _state_file(self, name: str) -> Path:
        return self.folder / f"{name}.pt"

    def _description(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _describe(self, name: str) -> dict[str, Any] | None:
        try:
            return dict(json.loads(self._description(name).read_bytes()))
        except (OSError, ValueError):
            return None

    def _write(self, name: str, description: dict[str, Any], state: Mapping[str, Any]) -> None:
        if not _all_finite(state):
            raise ConfigError(f"the weights are not finite after step {description['step']}", _DIVERGED_HINT)
        self.folder.mkdir(exist_ok=True)
        path = self._state_file(name)
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as stream:
            torch.save(dict(state), stream)
            stream.flush()
            os.fsync(stream.fileno())
        digest = hash_file(temporary)
        self._description(name).unlink(missing_ok=True)
        temporary.replace(path)
        write_atomically(self._description(name), json.dumps(description | {"sha256": digest}).encode() + b"\n")

    def _read(self, name: str) -> dict[str, Any] | None:
        described, path = self._describe(name), self._state_file(name)
        if described is None or not path.is_file() or hash_file(path) != described.get("sha256"):
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError):
            return None
        return state

    def _delete(self, name: str) -> None:
        self._description(name).unlink(missing_ok=True)
        self._state_file(name).unlink(missing_ok=True)


def require_finite(losses: Mapping[str, float], step: int, samples: Callable[[], str]) -> None:
    """Raises ``ConfigError`` that names the losses of step ``step`` that are not finite, and its samples."""
    bad = [name for name, value in losses.items() if not math.isfinite(value)]
    if bad:
        raise ConfigError(f"{', '.join(bad)} is not finite at step {step} (samples {samples()})", _DIVERGED_HINT)


@contextmanager
def undamaged(path: Path) -> Iterator[None]:
    """Raise ``ResumeConflictError`` when what an earlier run saved at ``path`` cannot be read inside the block."""
    try:
        yield
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ResumeConflictError(
            f"{path} is damaged", "Delete this file and add --resume: what it held is computed again"
        ) from error


def _all_finite(state: Any) -> bool:
    if isinstance(state, torch.Tensor):
        return not state.is_floating_point() or bool(state.isfinite().all())
    if isinstance(state, Mapping):
        state = list(state.values())
    return not isinstance(state, list | tuple) or all(_all_finite(part) for part in state)
